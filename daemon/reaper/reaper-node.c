#include "daemon/reaper/reaper-node.h"

void node_table_done(NodeTable *t)
{
	for (size_t i = 0; i < NODE_BUCKETS; i++) {
		while (t->buckets[i]) {
			TreeNode *n = t->buckets[i];
			t->buckets[i] = n->next;
			free(n);
		}
	}
}

/* Where the pointer to the node is, or to the NULL that ends its chain. */
static TreeNode **find_place(NodeTable *t, pid_t pid)
{
	TreeNode **at = &t->buckets[(unsigned)pid % NODE_BUCKETS];
	while (*at && (*at)->pid != pid)
		at = &(*at)->next;
	return at;
}

TreeNode *node_table_find(const NodeTable *t, pid_t pid)
{
	TreeNode *n = t->buckets[(unsigned)pid % NODE_BUCKETS];
	while (n && n->pid != pid)
		n = n->next;
	return n;
}

TreeNode *node_table_renew(NodeTable *t, pid_t pid)
{
	TreeNode *n = node_table_find(t, pid);
	if (n) {
		*n = (TreeNode){ .next = n->next, .pid = pid };
		return n;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->pid = pid;
	node_table_insert(t, n);
	return n;
}

void node_table_insert(NodeTable *t, TreeNode *node)
{
	TreeNode **at = &t->buckets[(unsigned)node->pid % NODE_BUCKETS];
	node->next = *at;
	*at = node;
}

static void remove_at(TreeNode **at)
{
	TreeNode *n = *at;
	*at = n->next;
	free(n);
}

void node_table_remove(NodeTable *t, pid_t pid)
{
	TreeNode **at = find_place(t, pid);
	if (*at)
		remove_at(at);
}

void node_table_sweep(NodeTable *t, uint32_t pass)
{
	for (size_t i = 0; i < NODE_BUCKETS; i++) {
		for (TreeNode **at = &t->buckets[i]; *at;) {
			if ((*at)->direct || (*at)->pass == pass)
				at = &(*at)->next;
			else
				remove_at(at);
		}
	}
}
