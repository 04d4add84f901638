#include "daemon/eventlog/log-meta.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/fd.h"
#include "common/json-writer.h"
#include "common/jsonx.h"

#define FILE_NAME      "log.json"
#define FORMAT_VERSION 1

static int get_uuid(json_object *o, const char *key, Uuid *ret)
{
	size_t len;
	const char *text = jsonx_get_string(o, key, &len);

	return text ? uuid_parse(text, len, ret) : -EINVAL;
}

int log_meta_read(int log_dirfd, LogMeta *ret)
{
	_cleanup_buf_ Buf text = { 0 };
	_cleanup_json_ json_object *o = NULL;
	const char *name;
	LogMeta meta = { 0 };
	JsonxError why;
	int durability, r = file_read(log_dirfd, FILE_NAME, 64 * 1024, &text);

	if (r < 0)
		return r;
	r = jsonx_parse(text.data, text.len, &o, &why);
	if (r < 0)
		return r;
	name = jsonx_get_string(o, "durability", NULL);
	durability = name ? durability_from_string(name) : -EINVAL;
	meta.clean = jsonx_get_bool(o, "clean", false);
	meta.seq_ceiling = jsonx_get_uint(o, "seq_ceiling", 0);
	if (jsonx_get_int(o, "format", 0) != FORMAT_VERSION || meta.seq_ceiling == 0 ||
		durability < 0 || get_uuid(o, "log_id", &meta.log_id) < 0 ||
		get_uuid(o, "boot_id", &meta.boot_id) < 0)
		return -EBADMSG;
	meta.durability = (Durability)durability;
	*ret = meta;
	return 0;
}

int log_meta_write(int log_dirfd, const LogMeta *meta)
{
	_cleanup_buf_ Buf text = { 0 };
	char id[UUID_TEXT_LEN + 1];
	JsonWriter w;
	int r;

	jw_init(&w, &text);
	jw_object_begin(&w);
	jw_key_uint(&w, "format", FORMAT_VERSION);
	uuid_format(&meta->log_id, id);
	jw_key_cstring(&w, "log_id", id);
	uuid_format(&meta->boot_id, id);
	jw_key_cstring(&w, "boot_id", id);
	jw_key_bool(&w, "clean", meta->clean);
	jw_key_cstring(&w, "durability", durability_to_string(meta->durability));
	jw_key_uint(&w, "seq_ceiling", meta->seq_ceiling);
	jw_object_end(&w);
	r = jw_finish(&w);
	if (r == 0)
		r = buf_append_char(&text, '\n');
	return r < 0 ? r : file_replace(log_dirfd, FILE_NAME, text.data, text.len);
}

int log_meta_boot_id(Uuid *ret)
{
	_cleanup_buf_ Buf text = { 0 };
	int r = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, &text);

	if (r < 0)
		return r;
	return text.len < UUID_TEXT_LEN ? -EINVAL : uuid_parse(text.data, UUID_TEXT_LEN, ret);
}
