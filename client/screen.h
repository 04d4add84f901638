/* The terminal as a screen of cells, through ncurses, which is loaded when a screen is opened: no
 * other command pays for it.
 *
 * There is one terminal, so there is one screen. What is put on it must be harmless already
 * (text_append_safe()); it is cut to columns here. Nothing appears before screen_refresh(), and
 * then only what has changed.
 *
 * Owns the terminal's modes from screen_open() to screen_close(), but while SIGTSTP has stopped the
 * process. SIGWINCH and SIGTSTP are blocked in between, but for screen_wait(). Thread: main. */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

typedef enum ScreenStyle {
	SCREEN_PLAIN,
	SCREEN_BOLD,
	SCREEN_DIM,
	SCREEN_REVERSE,
	SCREEN_RED,
	SCREEN_GREEN,
	SCREEN_YELLOW,
	SCREEN_CYAN,
	_SCREEN_STYLE_MAX,
} ScreenStyle;

/* Keys that are no character. */
typedef enum ScreenKey {
	SCREEN_KEY_NONE = 0,
	SCREEN_KEY_UP = 0x1000,
	SCREEN_KEY_DOWN,
	SCREEN_KEY_PAGE_UP,
	SCREEN_KEY_PAGE_DOWN,
	SCREEN_KEY_HOME,
	SCREEN_KEY_END,
	SCREEN_KEY_ENTER,
	SCREEN_KEY_ESCAPE,
	SCREEN_KEY_BACKSPACE,
	SCREEN_KEY_TAB,
	SCREEN_KEY_OTHER,
} ScreenKey;

/* -ENOENT with a sentence in `why`: there is no ncurses, or this terminal is none that a screen can
 * be had of. -ENOMEM. */
int screen_open(bool color, Buf *why) _must_check_;
/* The terminal is as it was before. Bears that none is open. */
void screen_close(void);

/* poll(2), that ends also when the terminal has another size: returns what that does, or -errno. */
int screen_wait(struct pollfd *fds, size_t n, int timeout_ms) _must_check_;

/* Takes the terminal's size over; true: it is another one. */
bool screen_resize(void);
size_t screen_rows(void);
size_t screen_columns(void);

void screen_erase(void);
/* From that column on, at most `width` of them; returns how many it took. */
size_t screen_put(
	size_t row, size_t column, size_t width, ScreenStyle style, const char *text, size_t len);
/* A row of blanks. */
void screen_bar(size_t row, ScreenStyle style);
void screen_refresh(void);

/* The next key that was pressed: a character's bytes one by one, or a ScreenKey; NONE: no more. */
int screen_key(void);
