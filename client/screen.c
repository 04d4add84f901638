#define NCURSES_NOMACROS
#include "client/screen.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "client/columns.h"
#include "common/dlib.h"

#define LIBRARY "libncursesw.so.6"

/* What follows an Escape that a key has sent is there at once, also over a slow line. */
#define ESCAPE_MS 50

#define MSEC_PER_SEC  1000
#define NSEC_PER_MSEC 1000000L

#define CURSES_FUNCTIONS(X)   \
	X(COLOR_PAIR)         \
	X(cbreak)             \
	X(curs_set)           \
	X(delscreen)          \
	X(delwin)             \
	X(endwin)             \
	X(getmaxx)            \
	X(getmaxy)            \
	X(has_colors)         \
	X(init_pair)          \
	X(intrflush)          \
	X(keypad)             \
	X(newterm)            \
	X(newwin)             \
	X(nodelay)            \
	X(noecho)             \
	X(nonl)               \
	X(resizeterm)         \
	X(set_escdelay)       \
	X(start_color)        \
	X(tigetstr)           \
	X(use_default_colors) \
	X(waddnstr)           \
	X(wattrset)           \
	X(wclear)             \
	X(werase)             \
	X(wgetch)             \
	X(wmove)              \
	X(wrefresh)           \
	X(wresize)

typedef struct Curses {
#define CURSES_MEMBER(name) __typeof__(&name) name;
	CURSES_FUNCTIONS(CURSES_MEMBER)
#undef CURSES_MEMBER
} Curses;

static const DlibFunction functions[] = {
#define CURSES_ENTRY(name) { #name, offsetof(Curses, name) },
	CURSES_FUNCTIONS(CURSES_ENTRY)
#undef CURSES_ENTRY
};

static Curses curses;
static void *library; /* stays: its signal handlers do */
static SCREEN *terminal;
static WINDOW *window;
static bool colored;
static sigset_t old_mask;
static Buf text_fits; /* kept for the next text */

static int load(Buf *why)
{
	int r;

	if (library)
		return 0;
	r = dlib_load(LIBRARY, functions, ARRAY_SIZE(functions), &curses, &library, why);
	if (r == -ENOENT && buf_append_str(why, "; install the package `libncursesw6`") < 0)
		return -ENOMEM;
	return r;
}

/* Everything that is shown is UTF-8, as everywhere in this program: a locale that is not would have
 * ncurses take each byte for a character. */
static void use_utf8(void)
{
	if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		(void)setlocale(LC_CTYPE, "C.UTF-8");
}

static void start_colors(void)
{
	static const short colors[] = { COLOR_RED, COLOR_GREEN, COLOR_YELLOW, COLOR_CYAN };

	colored = curses.has_colors() && curses.start_color() == OK &&
		  curses.use_default_colors() == OK;
	for (size_t i = 0; colored && i < ARRAY_SIZE(colors); i++)
		colored = curses.init_pair((short)(i + 1), colors[i], -1) == OK;
}

static int start(Buf *why)
{
	const char *name = getenv("TERM");
	const char *move;

	terminal = curses.newterm(NULL, stdout, stdin);
	move = terminal ? curses.tigetstr("cup") : NULL;
	/* tigetstr() has two ways to say no. */
	if (!move || move == (const char *)-1)
		return dlib_refuse(why,
			"the terminal `%s` has no screen that can be drawn on; TERM says what it "
			"is",
			name ? name : "");
	window = curses.newwin(0, 0, 0, 0);
	return window ? 0 : -ENOMEM;
}

int screen_open(bool color, Buf *why)
{
	sigset_t in_wait;
	int r;

	r = load(why);
	if (r < 0)
		return r;
	use_utf8();
	r = start(why);
	if (r < 0) {
		screen_close();
		return r;
	}
	curses.cbreak();
	curses.noecho();
	curses.nonl();
	curses.intrflush(window, FALSE);
	curses.keypad(window, TRUE);
	curses.nodelay(window, TRUE);
	curses.set_escdelay(ESCAPE_MS);
	curses.curs_set(0);
	if (color)
		start_colors();
	/* What ncurses does for a terminal that is left with Ctrl-Z is not to come amid something
	 * else that it does. */
	sigemptyset(&in_wait);
	sigaddset(&in_wait, SIGWINCH);
	sigaddset(&in_wait, SIGTSTP);
	sigprocmask(SIG_BLOCK, &in_wait, &old_mask);
	(void)screen_resize();
	return 0;
}

void screen_close(void)
{
	if (terminal)
		curses.endwin();
	if (window) {
		curses.delwin(window);
		sigprocmask(SIG_SETMASK, &old_mask, NULL);
	}
	if (terminal)
		curses.delscreen(terminal);
	window = NULL;
	terminal = NULL;
	buf_done(&text_fits);
}

int screen_wait(struct pollfd *fds, size_t n, int timeout_ms)
{
	struct timespec timeout = {
		.tv_sec = timeout_ms / MSEC_PER_SEC,
		.tv_nsec = timeout_ms % MSEC_PER_SEC * NSEC_PER_MSEC,
	};
	int ready = ppoll(fds, n, timeout_ms < 0 ? NULL : &timeout, &old_mask);

	return ready < 0 ? -errno : ready;
}

bool screen_resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		return false;
	if (size.ws_row == screen_rows() && size.ws_col == screen_columns())
		return false;
	curses.resizeterm(size.ws_row, size.ws_col);
	curses.wresize(window, size.ws_row, size.ws_col);
	curses.wclear(window);
	return true;
}

size_t screen_rows(void)
{
	return (size_t)curses.getmaxy(window);
}

size_t screen_columns(void)
{
	return (size_t)curses.getmaxx(window);
}

static int attributes(ScreenStyle style)
{
	switch (style) {
	case SCREEN_BOLD:
		return (int)A_BOLD;
	case SCREEN_DIM:
		return (int)A_DIM;
	case SCREEN_REVERSE:
		return (int)A_REVERSE;
	case SCREEN_RED:
	case SCREEN_GREEN:
	case SCREEN_YELLOW:
	case SCREEN_CYAN:
		return colored ? curses.COLOR_PAIR(style - SCREEN_RED + 1) : (int)A_NORMAL;
	default:
		return (int)A_NORMAL;
	}
}

void screen_erase(void)
{
	curses.werase(window);
}

size_t screen_put(
	size_t row, size_t column, size_t width, ScreenStyle style, const char *text, size_t len)
{
	size_t columns = screen_columns(), used = 0;

	if (row >= screen_rows() || column >= columns)
		return 0;
	if (width > columns - column)
		width = columns - column;
	buf_clear(&text_fits, SIZE_MAX);
	if (columns_append(&text_fits, text, len, width, &used) < 0 || text_fits.len == 0)
		return 0;
	curses.wmove(window, (int)row, (int)column);
	curses.wattrset(window, attributes(style));
	/* The last cell of a screen cannot be written without an error, which means nothing. */
	(void)curses.waddnstr(window, text_fits.data, (int)text_fits.len);
	curses.wattrset(window, (int)A_NORMAL);
	return used;
}

void screen_bar(size_t row, ScreenStyle style)
{
	for (size_t column = 0; column < screen_columns(); column++)
		(void)screen_put(row, column, 1, style, " ", 1);
}

void screen_refresh(void)
{
	curses.wrefresh(window);
}

static int translate(int key)
{
	static const struct {
		int curses;
		ScreenKey key;
	} keys[] = {
		{ KEY_UP, SCREEN_KEY_UP },
		{ KEY_DOWN, SCREEN_KEY_DOWN },
		{ KEY_PPAGE, SCREEN_KEY_PAGE_UP },
		{ KEY_NPAGE, SCREEN_KEY_PAGE_DOWN },
		{ KEY_HOME, SCREEN_KEY_HOME },
		{ KEY_END, SCREEN_KEY_END },
		{ KEY_ENTER, SCREEN_KEY_ENTER },
		{ '\r', SCREEN_KEY_ENTER },
		{ '\n', SCREEN_KEY_ENTER },
		{ 0x1b, SCREEN_KEY_ESCAPE },
		{ KEY_BACKSPACE, SCREEN_KEY_BACKSPACE },
		{ 0x7f, SCREEN_KEY_BACKSPACE },
		{ '\b', SCREEN_KEY_BACKSPACE },
		{ '\t', SCREEN_KEY_TAB },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].curses == key)
			return keys[i].key;
	return key >= ' ' && key <= 0xff ? key : SCREEN_KEY_OTHER;
}

int screen_key(void)
{
	int key = curses.wgetch(window);

	return key == ERR ? SCREEN_KEY_NONE : translate(key);
}
