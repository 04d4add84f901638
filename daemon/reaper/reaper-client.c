#include "daemon/reaper/reaper-client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/fd.h"
#include "common/list.h"
#include "common/log.h"
#include "daemon/reaper/reaper-proto.h"
#include "daemon/reaper/reaper-queue.h"

/* So that one line does not keep the loop to itself. */
#define REPLIES_AT_ONCE 64U

struct ReaperJob {
	ReaperClient *client;
	uint64_t id;
	ReaperHooks hooks;
	bool started, exited;
	bool forgotten;    /* waits for `end` to leave the queue, to be freed */
	QueuedRequest end; /* so that asking for the end needs no memory */
};

/* Jobs have an index and, so that a late reply does not meet the wrong one, how many had it
 * before. */
typedef struct Slot {
	ReaperJob *job; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
} Slot;

#define NO_SLOT UINT32_MAX

struct ReaperClient {
	int fd;
	struct event *read_event;
	ReaperQueue queue;
	Slot *slots;
	uint32_t n_slots, first_free;
	bool dead;
};

static void on_readable(evutil_socket_t fd, short what, void *userdata);

int reaper_client_new(struct event_base *base, int fd, ReaperClient **ret)
{
	ReaperClient *c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	c->first_free = NO_SLOT;

	int r = reaper_queue_init(&c->queue, base, fd);
	c->read_event = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
	if (r >= 0 && (!c->read_event || event_add(c->read_event, NULL) < 0))
		r = -ENOMEM;
	if (r < 0) {
		reaper_client_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void reaper_client_free(ReaperClient *c)
{
	if (!c)
		return;
	if (c->read_event)
		event_free(c->read_event);
	reaper_queue_done(&c->queue);
	for (uint32_t i = 0; i < c->n_slots; i++)
		free(c->slots[i].job);
	free(c->slots);
	close(c->fd);
	free(c);
}

static int grow_slots(ReaperClient *c)
{
	uint32_t n = c->n_slots ? c->n_slots * 2 : 16;
	Slot *slots = reallocarray(c->slots, n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = c->n_slots; i < n; i++)
		slots[i] = (Slot){ .next_free = i + 1 < n ? i + 1 : NO_SLOT };
	c->first_free = c->n_slots;
	c->slots = slots;
	c->n_slots = n;
	return 0;
}

static void on_end_left(QueuedRequest *end)
{
	ReaperJob *job = container_of(end, ReaperJob, end);
	if (job->forgotten)
		free(job);
}

static int job_new(ReaperClient *c, const ReaperHooks *hooks, ReaperJob **ret)
{
	if (c->first_free == NO_SLOT) {
		int r = grow_slots(c);
		if (r < 0)
			return r;
	}
	ReaperJob *job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;

	uint32_t index = c->first_free;
	Slot *slot = &c->slots[index];
	c->first_free = slot->next_free;
	slot->job = job;
	*job = (ReaperJob){
		.client = c,
		.id = (uint64_t)slot->generation << 32 | index,
		.hooks = *hooks,
		.end = { .on_left = on_end_left },
	};
	list_init(&job->end.node);
	*ret = job;
	return 0;
}

static ReaperJob *job_find(const ReaperClient *c, uint64_t id)
{
	uint32_t index = (uint32_t)id;
	if (index >= c->n_slots || c->slots[index].generation != id >> 32)
		return NULL;
	return c->slots[index].job;
}

static void job_free(ReaperJob *job)
{
	ReaperClient *c = job->client;
	uint32_t index = (uint32_t)job->id;
	Slot *slot = &c->slots[index];
	slot->job = NULL;
	slot->generation++;
	slot->next_free = c->first_free;
	c->first_free = index;
	if (list_empty(&job->end.node))
		free(job);
	else
		job->forgotten = true;
}

static void dispatch(ReaperClient *c, const ReaperReply *reply)
{
	static const char *const stages[_REAPER_STAGE_MAX] = {
		[REAPER_STAGE_PROGRAM] = "program",
		[REAPER_STAGE_DIRECTORY] = "directory",
		[REAPER_STAGE_CGROUP] = "cgroup",
	};
	ReaperJob *job = job_find(c, reply->id);
	if (!job)
		return;

	ReaperHooks hooks = job->hooks;
	switch ((ReaperReplyType)reply->type) {
	case REAPER_REPLY_STARTED:
		job->started = true;
		hooks.on_started(reply->value, hooks.userdata);
		break;
	case REAPER_REPLY_FAILED:
		job_free(job);
		hooks.on_failed(reply->value, stages[reply->stage], hooks.userdata);
		break;
	case REAPER_REPLY_EXITED:
		job->exited = true;
		hooks.on_exit(reply->value, &reply->usage, hooks.userdata);
		break;
	case REAPER_REPLY_GONE:
		job_free(job);
		hooks.on_gone(&reply->tally, hooks.userdata);
		break;
	}
}

/* The reaper is no more. Its programs died with it; what they forked may not have. */
static void lose(ReaperClient *c)
{
	log_error("the reaper has died: what it ran is lost");
	c->dead = true;
	(void)event_del(c->read_event);
	reaper_queue_clear(&c->queue);

	for (uint32_t i = 0; i < c->n_slots; i++) {
		const ReaperJob *job = c->slots[i].job;
		if (!job)
			continue;
		ReaperReply reply = { .id = job->id, .value = EPIPE };
		if (!job->started) {
			reply.type = REAPER_REPLY_FAILED;
			dispatch(c, &reply);
			continue;
		}
		if (!job->exited) {
			reply.type = REAPER_REPLY_EXITED;
			reply.value = W_EXITCODE(0, SIGKILL);
			dispatch(c, &reply);
		}
		reply.type = REAPER_REPLY_GONE;
		dispatch(c, &reply);
	}
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	(void)what;
	ReaperClient *c = userdata;
	for (unsigned i = 0; i < REPLIES_AT_ONCE; i++) {
		ReaperReply reply;
		ssize_t n = recv(fd, &reply, sizeof(reply), MSG_DONTWAIT);
		if (n == (ssize_t)sizeof(reply)) {
			dispatch(c, &reply);
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return;
		lose(c);
		return;
	}
}

static size_t measure(const char *const *strings, uint32_t *ret_n)
{
	size_t bytes = 0;
	uint32_t n = 0;
	for (; strings[n]; n++)
		bytes += strlen(strings[n]) + 1;
	*ret_n = n;
	return bytes;
}

static char *put_strings(char *at, const char *const *strings)
{
	for (; *strings; strings++)
		at = stpcpy(at, *strings) + 1;
	return at;
}

/* Cwd, argv and environment, as a file in memory. Returns its descriptor. */
static int make_payload(const ReaperSpec *spec, ReaperRequest *request)
{
	const char *const cwd[] = { spec->cwd, NULL };
	uint32_t n_cwd;
	size_t len = measure(cwd, &n_cwd);
	len += measure(spec->argv, &request->argc);
	len += measure(spec->envp, &request->envc);
	if (request->argc == 0)
		return -EINVAL;
	if (len > REAPER_PAYLOAD_MAX_BYTES)
		return -E2BIG;
	request->has_cwd = n_cwd > 0;
	request->payload_bytes = len;

	_cleanup_close_ int fd = memfd_create("liongate-start", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* In one piece: there are secrets in it, and what grows leaves copies behind. */
	_cleanup_free_ char *text = malloc(len);
	if (!text)
		return -ENOMEM;
	char *at = put_strings(text, cwd);
	at = put_strings(at, spec->argv);
	(void)put_strings(at, spec->envp);
	int r = fd_write_all(fd, text, len);
	explicit_bzero(text, len);
	return r < 0 ? r : TAKE_FD(fd);
}

int reaper_client_start(
	ReaperClient *c, const ReaperSpec *spec, const ReaperHooks *hooks, ReaperJob **ret)
{
	if (c->dead)
		return -EPIPE;
	ReaperRequest request = {
		.type = REAPER_REQUEST_START,
		.memory_bytes = spec->memory_bytes,
		.cpu_seconds = spec->cpu_seconds,
		.processes = spec->processes,
		.open_files = spec->open_files,
	};
	(void)snprintf(request.agent_id, sizeof(request.agent_id), "%s", spec->agent_id);
	_cleanup_close_ int payload = make_payload(spec, &request);
	if (payload < 0)
		return payload;

	ReaperJob *job;
	int r = job_new(c, hooks, &job);
	if (r < 0)
		return r;
	request.id = job->id;
	const int fds[_REAPER_FD_MAX] = {
		[REAPER_FD_PAYLOAD] = payload,
		[REAPER_FD_STDIN] = spec->stdin_fd,
		[REAPER_FD_STDOUT] = spec->stdout_fd,
		[REAPER_FD_STDERR] = spec->stderr_fd,
	};
	r = reaper_queue_start(&c->queue, &request, fds);
	if (r < 0) {
		job_free(job);
		return r;
	}
	*ret = job;
	return 0;
}

void reaper_job_end(ReaperJob *job, uint32_t grace_ms)
{
	ReaperRequest *request = &job->end.request;
	if (job->client->dead)
		return;
	if (!list_empty(&job->end.node)) {
		if (grace_ms < request->grace_ms)
			request->grace_ms = grace_ms;
		return;
	}
	*request = (ReaperRequest){
		.type = REAPER_REQUEST_END,
		.id = job->id,
		.grace_ms = grace_ms,
	};
	reaper_queue_end(&job->client->queue, &job->end);
}

void reaper_job_forget(ReaperJob *job)
{
	job_free(job);
}
