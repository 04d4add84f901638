#include "daemon/backend/exec-pipes.h"

#include <errno.h>
#include <fcntl.h>

#include "common/fd.h"

void exec_pipes_done(ExecPipes *p)
{
	for (int i = 0; i < 3; i++) {
		if (p->ours[i] >= 0)
			close(TAKE_FD(p->ours[i]));
		if (p->theirs[i] >= 0)
			close(TAKE_FD(p->theirs[i]));
	}
}

static int make_one(ExecPipes *p, int i)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	p->ours[i] = ends[i == STDIN_FILENO];
	p->theirs[i] = ends[i != STDIN_FILENO];
	return fd_set_nonblocking(p->ours[i], true);
}

int exec_pipes_make(ExecPipes *p, bool null_input)
{
	int r = 0;
	if (null_input) {
		p->theirs[STDIN_FILENO] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (p->theirs[STDIN_FILENO] < 0)
			return -errno;
	} else {
		r = make_one(p, STDIN_FILENO);
	}
	if (r >= 0)
		r = make_one(p, STDOUT_FILENO);
	if (r >= 0)
		r = make_one(p, STDERR_FILENO);
	return r;
}
