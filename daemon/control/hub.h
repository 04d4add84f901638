/* All subscriptions: who is to be woken by what was committed.
 *
 * Those that ask something of agents hang on the agents they want (SubscriptionLink), so that an
 * event costs as much as it has takers, not as there are subscriptions. The others are woken by
 * each batch.
 *
 * Thread: main. */
#pragma once

#include "daemon/control/subscription.h"

int hub_new(Control *control, Hub **ret) _must_check_;
/* All subscriptions must have gone. Bears NULL. */
void hub_free(Hub *h);

/* Into the hub; links it to the agents that live and that it wants. -ENOMEM. */
int hub_add(Hub *h, Subscription *s) _must_check_;
void hub_remove(Hub *h, Subscription *s);
/* An agent is new. */
void hub_accepted(Hub *h, Agent *a);
/* Wakes whom the batch concerns, and lets go of the agents that have ended with it. */
void hub_batch(Hub *h, const Batch *batch);
uint32_t hub_count(const Hub *h);
/* Those whose id is greater than `after`, by id, at most `limit`; returns how many.
 * O(subscriptions). */
size_t hub_list(const Hub *h, uint64_t after, const Subscription **ret, size_t limit);
/* How many have not got all that was committed; *ret_seq: where the one stands that is furthest
 * behind (one past the newest event: none is). O(subscriptions). */
uint32_t hub_behind(const Hub *h, uint64_t *ret_seq);
/* True: no agent that it wants is alive. */
bool hub_is_idle(const Hub *h, const Subscription *s);
