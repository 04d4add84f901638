#include "client/option.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/text.h"
#include "common/protocol.h"

#define FIRST_LONG   256
#define HELP_COLUMN  30
#define N_TABLES_MAX (2 * OPTIONS_MAX)

typedef struct Parser {
	const ArgsRequest *request;
	Args *args;
	struct option longs[N_TABLES_MAX + 1];
	const Option *options[N_TABLES_MAX];
	OptionValue *values[N_TABLES_MAX];
	size_t n;
	char shorts[3 * N_TABLES_MAX + 4];
	size_t n_shorts;
	Buf *why;
} Parser;

void args_done(Args *args)
{
	for (size_t i = 0; i < OPTIONS_MAX; i++)
		free(args->values[i].list);
	free(args->operands);
	*args = (Args){ 0 };
}

size_t option_count(const Option *table)
{
	size_t n = 0;

	while (table && table[n].name)
		n++;
	return n;
}

static void add_table(Parser *p, const Option *table, Args *args)
{
	for (size_t i = 0; i < option_count(table) && i < OPTIONS_MAX; i++) {
		bool has_arg = table[i].kind != OPTION_FLAG;

		p->longs[p->n] = (struct option){
			.name = table[i].name,
			.has_arg = has_arg ? required_argument : no_argument,
			.val = FIRST_LONG + (int)p->n,
		};
		p->options[p->n] = &table[i];
		p->values[p->n] = &args->values[i];
		p->n++;
		if (table[i].letter == 0)
			continue;
		p->shorts[p->n_shorts++] = table[i].letter;
		if (has_arg)
			p->shorts[p->n_shorts++] = ':';
	}
}

static int add_to_list(const char ***list, size_t *n, const char *item)
{
	const char **grown = reallocarray(*list, *n + 1, sizeof(**list));

	if (!grown)
		return -ENOMEM;
	grown[(*n)++] = item;
	*list = grown;
	return 0;
}

static int complain(Parser *p, const Option *o, const char *what)
{
	int r = buf_printf(p->why, "--%s %s", o->name, what);

	return r < 0 ? r : -EINVAL;
}

static int parse_uint(Parser *p, const Option *o, OptionValue *v, const char *arg)
{
	char *end;

	errno = 0;
	v->number = strtoull(arg, &end, 10);
	if (!isdigit((unsigned char)*arg) || *end || errno != 0)
		return complain(p, o, "wants a whole number");
	if (o->max > 0 && (v->number < (uint64_t)o->min || v->number > (uint64_t)o->max)) {
		int r = buf_printf(
			p->why, "--%s must be %" PRId64 " to %" PRId64, o->name, o->min, o->max);

		return r < 0 ? r : -EINVAL;
	}
	return 0;
}

static int parse_int(Parser *p, const Option *o, OptionValue *v, const char *arg)
{
	char *end;

	errno = 0;
	v->integer = strtoll(arg, &end, 10);
	if (end == arg || *end || errno != 0)
		return complain(p, o, "wants a whole number");
	return 0;
}

const char *option_word(Completion kind, size_t i)
{
	switch (kind) {
	case COMPLETE_BACKEND:
		return protocol_backend_names()[i];
	case COMPLETE_CHANNEL:
		return i < _CHANNEL_MAX ? channel_to_string((Channel)i) : NULL;
	case COMPLETE_EVENT_TYPE:
		return i + 1 < _EVENT_TYPE_MAX ? protocol_event_name((EventType)(i + 1)) : NULL;
	case COMPLETE_STATE:
		return i < _AGENT_STATE_MAX ? agent_state_to_string((AgentState)i) : NULL;
	default:
		return NULL;
	}
}

static const char *choice(const Option *o, size_t i)
{
	return o->choices ? o->choices[i] : option_word(o->complete, i);
}

static int parse_duration(Parser *p, const Option *o, OptionValue *v, const char *arg)
{
	if (text_parse_duration(arg, &v->number) < 0)
		return complain(p, o, "wants a duration such as 500ms, 30s or 2min");
	return v->number < (uint64_t)o->min ? complain(p, o, "must be longer than nothing") : 0;
}

static int check_string(Parser *p, const Option *o, const char *arg)
{
	int r;

	if (strlen(arg) < (size_t)o->min)
		return complain(p, o, "must not be empty");
	if (!choice(o, 0))
		return 0;
	for (size_t i = 0; choice(o, i); i++) {
		if (strcmp(choice(o, i), arg) == 0)
			return 0;
	}
	r = buf_printf(p->why, "--%s must be one of:", o->name);
	for (size_t i = 0; r == 0 && choice(o, i); i++)
		r = buf_printf(p->why, " %s", choice(o, i));
	return r < 0 ? r : -EINVAL;
}

static int set_value(Parser *p, size_t i, const char *arg)
{
	const Option *o = p->options[i];
	OptionValue *v = p->values[i];
	int r;

	v->set = true;
	v->string = arg;
	switch (o->kind) {
	case OPTION_FLAG:
		return 0;
	case OPTION_STRING:
		return check_string(p, o, arg);
	case OPTION_LIST:
		r = check_string(p, o, arg);
		return r < 0 ? r : add_to_list(&v->list, &v->n_list, arg);
	case OPTION_UINT:
		return parse_uint(p, o, v, arg);
	case OPTION_INT:
		return parse_int(p, o, v, arg);
	case OPTION_DURATION:
		return parse_duration(p, o, v, arg);
	}
	return -EINVAL;
}

static int set_by_letter(Parser *p, int letter, const char *arg)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->options[i]->letter == letter)
			return set_value(p, i, arg);
	}
	return -EINVAL;
}

/* It is the beginning of several options, or of none. */
static int refuse_name(Parser *p, const char *word)
{
	size_t len = strcspn(word, "="), n = 0;
	int r;

	r = buf_printf(p->why, "%.*s could be", (int)len, word);
	for (size_t i = 0; r == 0 && i < p->n; i++) {
		const char *name = p->options[i]->name;

		if (len > 2 && strncmp(name, word + 2, len - 2) == 0)
			r = buf_printf(p->why, "%s --%s", n++ == 0 ? "" : ",", name);
	}
	if (r == 0 && n == 0) {
		p->why->len = 0;
		r = buf_printf(p->why, "there is no option %.*s", (int)len, word);
	}
	return r < 0 ? r : -EINVAL;
}

/* getopt says only that something is wrong; what it was looking at is found again here. */
static int refuse(Parser *p, int c, char **argv)
{
	const char *word = optind > 0 ? argv[optind - 1] : "";
	int r;

	if (optopt >= FIRST_LONG && c == ':')
		r = buf_printf(
			p->why, "--%s wants an argument", p->options[optopt - FIRST_LONG]->name);
	else if (optopt >= FIRST_LONG)
		r = buf_printf(
			p->why, "--%s takes no argument", p->options[optopt - FIRST_LONG]->name);
	else if (c == ':')
		r = buf_printf(p->why, "-%c wants an argument", optopt);
	else if (optopt != 0)
		r = buf_printf(p->why, "there is no option -%c", isprint(optopt) ? optopt : '?');
	else
		r = refuse_name(p, word);
	return r < 0 ? r : -EINVAL;
}

static void prepare(Parser *p)
{
	/* '+' stops at the first operand; '-' hands operands out in their place (as option 1), so
	 * that whatever is left at the end stands behind a `--`. ':' tells a missing argument
	 * apart. */
	p->shorts[p->n_shorts++] = p->request->stop_early ? '+' : '-';
	p->shorts[p->n_shorts++] = ':';
	add_table(p, p->request->own, p->args);
	add_table(p, p->request->global, p->request->global_values);
	opterr = 0;
	optind = 0;
}

static int take_rest(Args *args, const ArgsRequest *request, int argc, char **argv)
{
	int r = 0;

	if (optind < argc && request->takes_rest) {
		args->rest = argv + optind;
		args->n_rest = (size_t)(argc - optind);
		return 0;
	}
	for (int i = optind; r == 0 && i < argc; i++)
		r = add_to_list(&args->operands, &args->n_operands, argv[i]);
	return r;
}

int args_parse(
	Args *args, const ArgsRequest *request, int argc, char **argv, int *ret_next, Buf *why)
{
	Parser p = { .request = request, .args = args, .why = why };
	int c, r = 0;

	prepare(&p);
	while (r == 0 && (c = getopt_long(argc, argv, p.shorts, p.longs, NULL)) != -1) {
		if (c == '?' || c == ':')
			return refuse(&p, c, argv);
		if (c == 1)
			r = add_to_list(&args->operands, &args->n_operands, optarg);
		else if (c >= FIRST_LONG)
			r = set_value(&p, (size_t)(c - FIRST_LONG), optarg);
		else
			r = set_by_letter(&p, c, optarg);
	}
	if (r < 0)
		return r;
	*ret_next = optind;
	return request->stop_early ? 0 : take_rest(args, request, argc, argv);
}

int option_append_help(const Option *table, Buf *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < option_count(table); i++) {
		const Option *o = &table[i];
		size_t start = b->len, used;

		r = o->letter ? buf_printf(b, "  -%c, ", o->letter) : buf_append_str(b, "      ");
		if (r == 0)
			r = buf_printf(
				b, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		used = b->len - start;
		if (r == 0 && used + 2 > HELP_COLUMN)
			r = buf_printf(b, "\n%*s%s\n", HELP_COLUMN, "", o->help);
		else if (r == 0)
			r = buf_printf(b, "%*s%s\n", (int)(HELP_COLUMN - used), "", o->help);
	}
	return r;
}
