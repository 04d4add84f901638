/* What the parts of `top` share: cmd-top (options, the loop), top-ask (requests and their replies),
 * top-snapshot, top-keys and top-view.
 *
 * Everything goes over the subscription's connection, and nothing waits for a reply.
 *
 * Thread: main. */
#pragma once

#include "client/context.h"
#include "client/follow.h"
#include "client/top-model.h"
#include "client/top-stream.h"

#define TOP_FILTER_BYTES  64
#define TOP_MESSAGE_BYTES 200

typedef enum TopPage {
	TOP_PAGE_AGENTS,
	TOP_PAGE_PROVIDERS,
	TOP_PAGE_SUBSCRIBERS,
	_TOP_PAGE_MAX,
} TopPage;

/* What the keys mean. */
typedef enum TopMode {
	TOP_MODE_BROWSE,
	TOP_MODE_FILTER,
	TOP_MODE_CONFIRM,
	TOP_MODE_HELP,
} TopMode;

typedef enum TopAsk {
	TOP_ASK_PROVIDERS,
	TOP_ASK_SUBSCRIBERS,
	TOP_ASK_CANCEL,
	TOP_ASK_STREAM,
	TOP_ASK_SNAPSHOT,
	_TOP_ASK_MAX,
} TopAsk;

/* agent.list, page by page: at the beginning, and after a gap. */
typedef struct TopSnapshot {
	bool owed;
	size_t step;       /* those that live, then those that have ended */
	uint64_t before;   /* where its next page begins; 0: the first one */
	uint64_t begun_us; /* monotonic */
	uint64_t to;       /* the gap's end that it makes up for; 0: none */
	uint64_t gap_to;   /* the newest gap's end */
} TopSnapshot;

typedef struct Top {
	Context *ctx;
	const Filter *filter_asked; /* which agents the daemon is asked for */
	Follow *follow;
	TopModel model;
	TopSnapshot snapshot;
	TopStream stream; /* of the agent that is opened */
	TopPage page;
	TopMode mode;
	TopOrder order;
	bool reversed;
	char filter[TOP_FILTER_BYTES + 1];
	char selected[TOP_ID_BYTES]; /* its id; "": none */
	size_t selected_at;          /* where it stands */
	bool picked;      /* it stays selected wherever it goes; else what stands uppermost is */
	size_t first;     /* the row of the list that is uppermost */
	size_t scroll;    /* of the other pages */
	size_t body_rows; /* of the screen, when it was drawn last */
	char target[TOP_ID_BYTES]; /* whom the question is about */
	char message[TOP_MESSAGE_BYTES];
	uint64_t message_until_us;         /* monotonic */
	json_object *lists[_TOP_PAGE_MAX]; /* the newest reply for each of the other pages */
	uint64_t asked[_TOP_ASK_MAX];      /* request ids; 0: nothing is owed */
	uint64_t due_us[_TOP_ASK_MAX];     /* monotonic: it is not asked for before */
	bool connected;
	bool leaving;
	bool dirty; /* what is on the screen is not what there is */
} Top;

/* Shown for some seconds, in place of the keys. */
void top_say(Top *t, const char *format, ...) _printf_(2, 3);

/* top-ask.c. < 0: an error that ends it. */

/* Whatever is wanted and due: the list of the page that is shown, the next page of the opened
 * stream and of the snapshot. */
int top_ask_wanted(Top *t, uint64_t now_us) _must_check_;
/* When that has something to ask next; UINT64_MAX: not before something comes. */
uint64_t top_ask_due_us(const Top *t);
int top_ask_cancel(Top *t, const char *agent_id) _must_check_;
int top_on_reply(Top *t, const FollowItem *item) _must_check_;
/* The connection is lost, and with it all replies. */
void top_forget_asked(Top *t);

/* top-snapshot.c */

/* One is owed, which makes up for what was lost up to `gap_to`. Several gaps are one snapshot. */
void top_snapshot_want(Top *t, uint64_t gap_to);
/* The parameters of its next page. */
int top_snapshot_write_page(Top *t, uint64_t now_us, Buf *params) _must_check_;
/* An exit code, or -errno. */
int top_snapshot_add_page(Top *t, json_object *page) _must_check_;

/* top-keys.c */
int top_on_key(Top *t, int key) _must_check_;
/* Where the selected one is now, among those that are shown; where it has gone, whoever has its
 * place is. */
void top_find_selected(Top *t, TopAgent *const *view, size_t n);

/* top-view.c: draws everything. -ENOMEM. */
int top_draw(Top *t, uint64_t now_us) _must_check_;
