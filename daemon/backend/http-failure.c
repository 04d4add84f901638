#include "daemon/backend/http-failure.h"

#include <stdio.h>
#include <string.h>

/* What is said beside the sentence. */
typedef enum More {
	NOTHING,
	ERRNO,
	/* libcurl's own words, where they are worth to be read, and hold no URL of a proxy with its
	   password. */
	DETAIL,
} More;

typedef struct Meaning {
	CURLcode code;
	HttpFailure failure;
	const char *sentence;
	More more;
} Meaning;

static const Meaning meanings[] = {
	{ CURLE_OK, HTTP_OK, "the response is complete", NOTHING },
	{ CURLE_COULDNT_RESOLVE_HOST, HTTP_RESOLVE, "a name could not be resolved", DETAIL },
	{ CURLE_COULDNT_RESOLVE_PROXY, HTTP_RESOLVE, "the proxy's name could not be resolved",
		NOTHING },
	{ CURLE_COULDNT_CONNECT, HTTP_CONNECT, "no connection could be made", ERRNO },
	{ CURLE_PROXY, HTTP_CONNECT, "the proxy made no connection", NOTHING },
	{ CURLE_OPERATION_TIMEDOUT, HTTP_TIMEOUT_CONNECT, "no connection was made in time",
		NOTHING },
	{ CURLE_SSL_CONNECT_ERROR, HTTP_TLS, "the TLS handshake failed", DETAIL },
	{ CURLE_PEER_FAILED_VERIFICATION, HTTP_TLS, "the certificate is not trusted", DETAIL },
	{ CURLE_SSL_CACERT_BADFILE, HTTP_TLS, "the CA certificates cannot be read", NOTHING },
	{ CURLE_SEND_ERROR, HTTP_RESET, "the connection was lost while the request was sent",
		NOTHING },
	{ CURLE_RECV_ERROR, HTTP_RESET, "the connection was lost", DETAIL },
	{ CURLE_PARTIAL_FILE, HTTP_RESET, "the response was cut off", DETAIL },
	{ CURLE_GOT_NOTHING, HTTP_RESET, "the connection was closed without a response", NOTHING },
	{ CURLE_URL_MALFORMAT, HTTP_PROTOCOL, "the URL is not valid", NOTHING },
	{ CURLE_UNSUPPORTED_PROTOCOL, HTTP_PROTOCOL, "that is no HTTP", DETAIL },
	{ CURLE_WEIRD_SERVER_REPLY, HTTP_PROTOCOL, "that is no HTTP response", DETAIL },
	{ CURLE_OUT_OF_MEMORY, HTTP_NO_MEMORY,
		"out of memory, or a line of the header that has no end", NOTHING },
};

static const Meaning unknown = { CURLE_OK, HTTP_PROTOCOL, "the request could not be carried out",
	DETAIL };

/* libcurl has no code of its own for these. */
static const Meaning broken = { CURLE_RECV_ERROR, HTTP_PROTOCOL, "the response is not valid",
	DETAIL };
static const char *const broken_details[] = { "chunked-encoding", "Too large response headers" };

static const Meaning *find(CURLcode code, const char *detail)
{
	for (size_t i = 0; code == broken.code && i < ARRAY_SIZE(broken_details); i++)
		if (strstr(detail, broken_details[i]))
			return &broken;
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (meanings[i].code == code)
			return &meanings[i];
	return &unknown;
}

HttpFailure http_failure_of(
	CURLcode code, const char *detail, int os_error, char *sentence, size_t size)
{
	const Meaning *meaning = find(code, detail);
	char scratch[128];

	if (meaning->more == DETAIL && *detail)
		snprintf(sentence, size, "%s: %s", meaning->sentence, detail);
	else if (meaning->more == ERRNO && os_error != 0)
		snprintf(sentence, size, "%s: %s", meaning->sentence,
			strerror_r(os_error, scratch, sizeof(scratch)));
	else
		snprintf(sentence, size, "%s", meaning->sentence);
	for (char *c = sentence; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = ' ';
	return meaning->failure;
}
