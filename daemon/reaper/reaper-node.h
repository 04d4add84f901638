/* A table of the processes that the reaper has seen, by pid.
 *
 * Owns its nodes. Knows nothing of jobs but that a node points at one.
 *
 * Thread: the reaper's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"

#define NODE_BUCKETS 1024U

struct TreeJob;

typedef struct TreeNode {
	struct TreeNode *next;
	struct TreeJob *job; /* NULL: nobody's, or not known yet */
	pid_t pid;
	uint64_t start_time;
	uint32_t pass;   /* in which it was seen last */
	uint32_t tries;  /* passes without an answer to whose it is */
	bool program;    /* its job's */
	bool direct;     /* a child of the reaper: the pid is its own until it is waited for */
	bool terminated; /* has got its SIGTERM */
} TreeNode;

typedef struct NodeTable {
	TreeNode *buckets[NODE_BUCKETS];
} NodeTable;

void node_table_done(NodeTable *t);

/* NULL if there is none. */
TreeNode *node_table_find(const NodeTable *t, pid_t pid);
/* The node of that pid, blank but for the pid, made if there is none. NULL: out of memory. */
TreeNode *node_table_renew(NodeTable *t, pid_t pid);
/* Takes it as it is; there must be none of its pid. */
void node_table_insert(NodeTable *t, TreeNode *node);
void node_table_remove(NodeTable *t, pid_t pid);
/* Forgets those that are not direct and were not seen in `pass`. */
void node_table_sweep(NodeTable *t, uint32_t pass);
