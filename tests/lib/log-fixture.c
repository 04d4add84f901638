#include "tests/lib/log-fixture.h"

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/log.h"
#include "daemon/eventlog/log-check.h"

/* After so long nothing comes any more: as slow as Check is told that everything is. */
#define WAIT_MS 30000

static const char id[] = "0f0f0f0f-0000-4000-8000-000000000001";

void log_fixture_init(LogFixture *f)
{
	*f = (LogFixture){
		.options = {
			.durability = DURABILITY_INTERVAL,
			.sync_interval_us = 20000,
			.segment_bytes = 1024UL * 1024,
		},
	};
	log_set_level(LOG_LEVEL_ERROR);
	temp_dir_init(&f->dir);
}

static void close_log(LogFixture *f)
{
	eventlog_close(f->log);
	f->log = NULL;
	emitter_done(&f->emitter);
	mailbox_free(f->main);
	f->main = NULL;
}

void log_fixture_done(LogFixture *f)
{
	if (f->log && f->main)
		log_fixture_stop(f);
	else if (f->log)
		close_log(f);
	buf_done(&f->lines);
	temp_dir_done(&f->dir);
}

/* ---- Start ---- */

static int on_recovered(
	uint64_t seq, const IndexRecord *record, const char *line, size_t len, void *userdata)
{
	LogFixture *f = userdata;

	(void)record;
	(void)line;
	(void)len;
	if (f->n_recovered++ == 0)
		f->first_recovered = seq;
	return 0;
}

static uint64_t resolve(const Uuid *agent_id, void *userdata)
{
	(void)agent_id;
	(void)userdata;
	return 0;
}

void log_fixture_open(LogFixture *f)
{
	const EventLogRecovery recovery = {
		.on_event = on_recovered,
		.resolve = resolve,
		.userdata = f,
	};

	f->n_recovered = f->first_recovered = 0;
	ck_assert_int_eq(eventlog_open(f->dir.path, &f->options, &f->log), 0);
	ck_assert_int_eq(eventlog_recover(f->log, 1, &recovery), 0);
}

static void on_batch(const Batch *batch, void *userdata)
{
	LogFixture *f = userdata;

	f->n_batches++;
	f->n_events += batch->n;
	ck_assert_int_eq(buf_append(&f->lines, batch->data, batch->len), 0);
}

static void on_rejected(void *owner, int error, void *userdata)
{
	LogFixture *f = userdata;

	ck_assert_int_lt(error, 0);
	f->n_rejected++;
	f->rejected = owner;
}

static void on_state(int error, void *userdata)
{
	LogFixture *f = userdata;

	f->n_states++;
	f->state = error;
}

static void on_synced(uint64_t seq, void *userdata)
{
	LogFixture *f = userdata;

	ck_assert_uint_ge(seq, f->synced_seq);
	f->synced_seq = seq;
}

static void on_drained(void *userdata)
{
	LogFixture *f = userdata;

	f->n_drained++;
}

void log_fixture_run(LogFixture *f)
{
	const EventLogHooks hooks = {
		.on_batch = on_batch,
		.on_rejected = on_rejected,
		.on_state = on_state,
		.on_synced = on_synced,
		.on_drained = on_drained,
		.userdata = f,
	};

	f->n_batches = f->n_events = f->n_rejected = f->n_drained = f->n_states = 0;
	f->state = 0;
	f->synced_seq = 0;
	f->lines.len = 0;
	ck_assert_int_eq(mailbox_new(&f->main), 0);
	ck_assert_int_eq(eventlog_start(f->log, f->main, &hooks), 0);
	emitter_init(&f->emitter, eventlog_committer(f->log));
}

void log_fixture_start(LogFixture *f)
{
	log_fixture_open(f);
	log_fixture_run(f);
}

/* ---- End ---- */

void log_fixture_stop(LogFixture *f)
{
	emitter_flush(&f->emitter);
	eventlog_stop(f->log);
	mailbox_deliver(f->main, NULL);
	close_log(f);
}

void log_fixture_crash(LogFixture *f)
{
	emitter_flush(&f->emitter);
	committer_stop(eventlog_committer(f->log));
	mailbox_deliver(f->main, NULL);
	close_log(f);
}

void log_fixture_reboot(LogFixture *f)
{
	_cleanup_close_ int fd = log_fixture_dirfd(f);
	LogMeta meta;

	ck_assert_int_eq(log_meta_read(fd, &meta), 0);
	meta.boot_id.bytes[3] ^= 1;
	ck_assert_int_eq(log_meta_write(fd, &meta), 0);
}

/* ---- What is on the disk ---- */

int log_fixture_dirfd(LogFixture *f)
{
	int fd = open(temp_dir_path(&f->dir, "log"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

LogMeta log_fixture_meta(LogFixture *f)
{
	_cleanup_close_ int fd = log_fixture_dirfd(f);
	LogMeta meta;

	ck_assert_int_eq(log_meta_read(fd, &meta), 0);
	return meta;
}

size_t log_fixture_list(LogFixture *f, uint64_t *bases, size_t max)
{
	_cleanup_close_ int fd = log_fixture_dirfd(f);
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(segment_list(fd, &b), 0);
	ck_assert_uint_lt(b.len / sizeof(*bases), max);
	memcpy(bases, b.data, b.len);
	return b.len / sizeof(*bases);
}

off_t log_fixture_size(LogFixture *f, uint64_t base, const char *suffix)
{
	_cleanup_close_ int fd = log_fixture_dirfd(f);
	char name[SEGMENT_NAME_LEN + 16];
	struct stat st;

	segment_name(base, suffix, name);
	return fstatat(fd, name, &st, 0) < 0 ? -1 : st.st_size;
}

void log_fixture_cut(LogFixture *f, uint64_t base, const char *suffix, off_t bytes)
{
	_cleanup_close_ int dirfd = log_fixture_dirfd(f), fd = -1;
	char name[SEGMENT_NAME_LEN + 16];

	segment_name(base, suffix, name);
	fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, log_fixture_size(f, base, suffix) - bytes), 0);
}

/* ---- Events ---- */

static void write_members(JsonWriter *w, EventType type, void *owner, size_t body_len)
{
	_cleanup_free_ char *text = malloc(body_len + 1);

	memset(text, 'x', body_len);
	text[body_len] = '\0';
	jw_key_cstring(w, "type", protocol_event_name(type));
	if (owner)
		jw_key_cstring(w, "agent_id", id);
	if (type == EVENT_TYPE_AGENT_STARTED)
		jw_key_uint(w, "attempt", 1);
	if (type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT) {
		jw_key_uint(w, "index", *(uint64_t *)owner);
		++*(uint64_t *)owner;
		jw_key_cstring(w, "channel", "output");
	}
	jw_key_cstring(w, "chunk", text);
}

void log_fixture_emit(LogFixture *f, EventType type, void *owner, size_t body_len)
{
	EventMeta meta = {
		.owner = owner,
		.type = (uint8_t)type,
		.raw_bytes = type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT ? (uint32_t)body_len : 0,
	};

	write_members(emitter_begin(&f->emitter), type, owner, body_len);
	ck_assert_int_eq(emitter_end(&f->emitter, &meta), 0);
}

void log_fixture_announce(LogFixture *f)
{
	EventMeta meta = { .type = EVENT_TYPE_DAEMON_STARTED };
	JsonWriter *w = emitter_begin(&f->emitter);
	uint64_t from, to;

	jw_key_cstring(w, "type", protocol_event_name(EVENT_TYPE_DAEMON_STARTED));
	if (eventlog_lost(f->log, &from, &to)) {
		jw_key(w, "lost");
		jw_object_begin(w);
		jw_key_uint(w, "from", from);
		jw_key_uint(w, "to", to);
		jw_object_end(w);
	}
	ck_assert_int_eq(emitter_end(&f->emitter, &meta), 0);
}

void log_fixture_flush(LogFixture *f)
{
	emitter_flush(&f->emitter);
}

static int wait_ms(void)
{
	const char *multiplier = getenv("CK_TIMEOUT_MULTIPLIER");

	return WAIT_MS * (multiplier ? atoi(multiplier) : 1);
}

void log_fixture_pump(LogFixture *f)
{
	MailboxItem *item = mailbox_wait(f->main, wait_ms());

	ck_assert_msg(item != NULL, "nothing comes");
	for (MailboxItem *next; item; item = next) {
		next = item->next;
		item->deliver(item, NULL);
	}
}

void log_fixture_wait(LogFixture *f, uint64_t seq)
{
	emitter_flush(&f->emitter);
	while (eventlog_end_seq(f->log) <= seq)
		log_fixture_pump(f);
	ck_assert_uint_eq(eventlog_end_seq(f->log), seq + 1);
}

void log_fixture_assert_sound(LogFixture *f)
{
	_cleanup_close_ int fd = log_fixture_dirfd(f);
	_cleanup_free_ char *text = NULL;
	size_t len;
	Findings findings = { .out = open_memstream(&text, &len) };
	LogCheck check = { .dirfd = fd, .findings = &findings, .running = f->main };
	int r = log_check_run(&check);

	log_check_done(&check);
	fclose(findings.out);
	ck_assert_msg(r == 0 && findings.problems == 0, "%d: %.2000s", r, text);
}
