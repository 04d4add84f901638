/* What the parts of `top` share: cmd-top (options, the loop), top-ask (requests and their replies),
 * top-keys and top-view.
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
	_TOP_ASK_MAX,
} TopAsk;

typedef struct Top {
	Context *ctx;
	Follow *follow;
	TopModel model;
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
	uint64_t listed_us;                /* monotonic: when a list was asked for last */
	bool connected;
	bool leaving;
	bool dirty; /* what is on the screen is not what there is */
} Top;

/* Shown for some seconds, in place of the keys. */
void top_say(Top *t, const char *format, ...) _printf_(2, 3);

/* top-ask.c. < 0: an error that ends it. */

/* The list of the page that is shown, unless it is owed, or was asked for less than a second ago.
 */
int top_ask_list(Top *t, uint64_t now_us) _must_check_;
int top_ask_cancel(Top *t, const char *agent_id) _must_check_;
/* The next page of the opened stream. */
int top_ask_stream(Top *t) _must_check_;
int top_on_reply(Top *t, const FollowItem *item) _must_check_;
/* The connection is lost, and with it all replies. */
void top_forget_asked(Top *t);

/* top-keys.c */
int top_on_key(Top *t, int key) _must_check_;
/* Where the selected one is now, among those that are shown; where it has gone, whoever has its
 * place is. */
void top_find_selected(Top *t, TopAgent *const *view, size_t n);

/* top-view.c: draws everything. -ENOMEM. */
int top_draw(Top *t, uint64_t now_us) _must_check_;
