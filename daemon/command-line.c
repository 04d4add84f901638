#include "daemon/command-line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/check.h"

static void print(FILE *to, const Buf *text)
{
	(void)fwrite(text->data, 1, text->len, to);
}

static int flush_stdout(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "liongated: standard output cannot be written: %s\n", strerror(errno));
	return -EIO;
}

int command_line_load(int argc, char *argv[], ConfigOptions *options, Config **ret)
{
	_cleanup_buf_ Buf errors = { 0 };
	Config *config = NULL;
	int r = 0, parsed;

	parsed = config_options_parse(argc, argv, options, &errors);
	if (parsed == 0 && options->action >= CONFIG_ACTION_HELP) {
		*ret = NULL;
		return 0;
	}
	if (parsed == 0 || parsed == -EINVAL)
		r = config_load(options, &config, &errors);
	if (r == 0)
		r = parsed;
	if (r == 0) {
		*ret = config;
		return 0;
	}
	config_free(config);
	print(stderr, &errors);
	if (r == -ENOMEM)
		fprintf(stderr, "liongated: %s\n", strerror(-r));
	else if (parsed < 0)
		fputs("liongated: --help says which options there are\n", stderr);
	return r;
}

static int tell_good(const Config *config, Buf *text)
{
	_cleanup_buf_ Buf warnings = { 0 };
	int r = config_warnings(config, &warnings);

	if (r < 0)
		return r;
	print(stderr, &warnings);
	return buf_append_str(text, "the configuration is good\n");
}

int command_line_tell(ConfigAction action, const Config *config)
{
	_cleanup_buf_ Buf text = { 0 };
	int r = 0;

	switch (action) {
	case CONFIG_ACTION_HELP:
		r = config_print_help(&text);
		break;
	case CONFIG_ACTION_VERSION:
		r = buf_append_str(&text, "liongated " LIONGATE_VERSION "\n");
		break;
	case CONFIG_ACTION_PRINT_CONFIG:
		r = config_print(config, &text);
		break;
	case CONFIG_ACTION_CHECK_CONFIG:
		r = tell_good(config, &text);
		break;
	case CONFIG_ACTION_CHECK:
		r = check_state(config, stdout);
		break;
	case CONFIG_RUN:
		break;
	}
	if (r < 0)
		return r;
	print(stdout, &text);
	return flush_stdout();
}
