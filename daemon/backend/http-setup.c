#include "daemon/backend/http-setup.h"

#include <errno.h>
#include <sys/socket.h>

/* What libcurl reads at once. At the rate of a model's words more is only more memory. */
#define BUFFER_BYTES 2048L

static const struct {
	CURLoption option;
	long value;
} long_options[] = {
	{ CURLOPT_BUFFERSIZE, BUFFER_BYTES },
	{ CURLOPT_UPLOAD_BUFFERSIZE, 16384 }, /* the least */
	{ CURLOPT_FOLLOWLOCATION, 0 },
	{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
	{ CURLOPT_NETRC, CURL_NETRC_IGNORED },
	{ CURLOPT_NOPROGRESS, 1 },
	{ CURLOPT_NOSIGNAL, 1 },
	{ CURLOPT_POST, 1 },
	/* A call that ends does not wait for the thread that looks its host up. */
	{ CURLOPT_QUICK_EXIT, 1 },
	{ CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
	{ CURLOPT_TCP_KEEPALIVE, 1 },
	{ CURLOPT_TCP_NODELAY, 1 },
};

static const struct {
	CURLoption option;
	const char *value;
} text_options[] = {
	/* With one, libcurl 7.88 would not share what it read of the CA file: 20 ms and 900 KiB a
	   connection. */
	{ CURLOPT_CAPATH, NULL },
	{ CURLOPT_NOPROXY, "" },
	{ CURLOPT_PROTOCOLS_STR, "http,https" },
	{ CURLOPT_USERAGENT, "liongate/" LIONGATE_VERSION },
};

static curl_socket_t on_open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *a)
{
	(void)userdata;
	(void)purpose;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static int add_header(struct curl_slist **list, const char *header)
{
	struct curl_slist *longer = curlapi()->slist_append(*list, header);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int make_headers(const char *const *headers, struct curl_slist **list)
{
	/* A body is sent at once. */
	int r = add_header(list, "Expect:");

	for (; r == 0 && headers && *headers; headers++)
		r = add_header(list, *headers);
	return r;
}

/* Options that take a copy may fail for want of memory only: all are known to the version that was
 * asked for. */
static int set_target(CURL *easy, const HttpRequest *request)
{
	const CurlApi *curl = curlapi();
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(text_options); i++)
		r |= curl->easy_setopt(easy, text_options[i].option, text_options[i].value);
	r |= curl->easy_setopt(easy, CURLOPT_URL, request->url);
	r |= curl->easy_setopt(easy, CURLOPT_PROXY, request->proxy ? request->proxy : "");
	if (request->unix_socket)
		r |= curl->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
	if (request->ca_file)
		r |= curl->easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
	return r == CURLE_OK ? 0 : -ENOMEM;
}

int http_clear(CURL *easy)
{
	curlapi()->easy_reset(easy);
	/* Where a call ended before there was a connection for it, libcurl 7.88 keeps the buffer
	 * that it was to be read into, and forgets how large that is: the next would have 16 KiB
	 * read into 2. It gives itself away by not having its size set any more. */
	return curlapi()->easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_BYTES) == CURLE_OK ? 0
											  : -EBUSY;
}

int http_set_up(CURL *easy, const HttpRequest *request, struct curl_slist **ret_headers)
{
	const CurlApi *curl = curlapi();
	struct curl_slist *headers = NULL;
	int r = make_headers(request->headers, &headers);

	if (r == 0)
		r = set_target(easy, request);
	if (r < 0) {
		curl->slist_free_all(headers);
		return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(long_options); i++)
		(void)curl->easy_setopt(easy, long_options[i].option, long_options[i].value);
	(void)curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	(void)curl->easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	*ret_headers = headers;
	return 0;
}
