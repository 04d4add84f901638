/* Where the daemon's files are when nobody says so: in the system's places for root and service
 * users, in their own for anybody else. One rule for the configuration, the state and the socket,
 * so that what belongs together is found together.
 *
 * Owns nothing: what is given back is the caller's to free. Thread: main. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "common/cleanup.h"

/* Root, and the ids that are given to services: below 1000, those of systemd's DynamicUser= (61184
 * to 65519), and nobody (65534). */
bool config_places_is_service(uid_t uid);

/* -ENOENT: there is none, for want of a home; -ENOMEM. Whether it exists is not looked at. */
int config_places_file(uid_t uid, char **ret) _must_check_;
/* $STATE_DIRECTORY, which systemd sets, comes before all. */
int config_places_state_dir(uid_t uid, char **ret) _must_check_;
int config_places_socket(uid_t uid, char **ret) _must_check_;
