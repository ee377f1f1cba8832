/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A YAML document from a file. It is read twice: libyaml's nodes do not tell a tag that was written
 * from one that goes without saying, but its events do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "doc.h"

/* Of a character that is cut short the rest is zero. */
#define BEHIND 3

/* What was read so far; more than the parser has looked at. */
struct input {
	FILE *file;
	unsigned char *text;
	size_t len, room;
	int err; /* why it could not be read */
};

/* libyaml's, so 0 is failure. */
static int input_read(void *arg, unsigned char *to, size_t size, size_t *ret_size)
{
	struct input *in = arg;

	if (in->room - in->len < size) {
		size_t room = 2 * in->room + size;
		unsigned char *text = realloc(in->text, room + BEHIND);

		if (!text) {
			in->err = ENOMEM;
			return 0;
		}
		in->text = text;
		in->room = room;
	}
	errno = 0;
	*ret_size = fread(in->text + in->len, 1, size, in->file);
	if (ferror(in->file)) {
		in->err = errno ?: EIO;
		return 0;
	}
	memcpy(to, in->text + in->len, *ret_size);
	in->len += *ret_size;
	memset(in->text + in->len, 0, BEHIND);
	return 1;
}

/* ---- where a byte stands ---- */

/* How many bytes a character has; what it is, unless it has four. */
static size_t char_read(const unsigned char *s, yaml_encoding_t encoding, unsigned int *ret)
{
	if (encoding == YAML_UTF16LE_ENCODING || encoding == YAML_UTF16BE_ENCODING) {
		bool big = encoding == YAML_UTF16BE_ENCODING;

		*ret = (unsigned int)s[!big] << 8 | s[big];
		return (*ret & 0xfc00) == 0xd800 ? 4 : 2;
	}
	*ret = *s;
	if (*s < 0x80)
		return 1;
	if (*s < 0xe0) {
		*ret = (*s & 0x1fU) << 6 | (s[1] & 0x3f);
		return 2;
	}
	if (*s < 0xf0) {
		*ret = (*s & 0xfU) << 12 | (s[1] & 0x3fU) << 6 | (s[2] & 0x3f);
		return 3;
	}
	return 4;
}

/* As libyaml counts, which tells no more than the byte where it cannot read a character. */
static struct doc_place place_find(const struct input *in, yaml_encoding_t encoding, size_t offset)
{
	struct doc_place at = { 1, 1 };
	unsigned int c = 0, last;
	size_t i = 0, width;

	/* The characters before it are whole, but the one that it is in need not be. */
	while (i < offset) {
		last = c;
		width = char_read(in->text + i, encoding, &c);
		if (i + width > offset)
			break;
		i += width;
		if (c == 0xfeff && i == width)
			continue;
		if (c == '\n' && last == '\r')
			continue;
		if (c == '\n' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029)
			at = (struct doc_place){ at.line + 1, 1 };
		else
			at.column++;
	}
	return at;
}

/* ---- two readings ---- */

static struct doc_place mark_place(const yaml_mark_t *mark)
{
	return (struct doc_place){ (unsigned int)mark->line + 1, (unsigned int)mark->column + 1 };
}

static void parser_complain(struct doc *y, const struct input *in, const yaml_parser_t *p)
{
	if (in->err || p->error == YAML_MEMORY_ERROR)
		doc_complain(y, (struct doc_place){ 0 }, "%s", strerror(in->err ?: ENOMEM));
	else if (p->error == YAML_READER_ERROR)
		doc_complain(y, place_find(in, p->encoding, p->problem_offset), "%s", p->problem);
	else
		doc_complain(y, mark_place(&p->problem_mark), "%s%s%s", p->problem ?: "no YAML",
			     p->context ? " " : "", p->context ?: "");
}

static bool has_tag(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return e->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return e->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return e->data.mapping_start.tag;
	default:
		return false;
	}
}

/* Tags would say what a value is, which its key says already. */
static void tags_check(struct doc *y, struct input *in, yaml_parser_t *p)
{
	yaml_event_t e;
	bool end;

	yaml_parser_set_input(p, input_read, in);
	do {
		if (!yaml_parser_parse(p, &e)) {
			parser_complain(y, in, p);
			return;
		}
		if (has_tag(&e))
			doc_complain(y, mark_place(&e.start_mark), "tags are not known here");
		end = e.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&e);
	} while (!end);
}

/* One document, and no other behind it. */
static void document_load(struct doc *y, struct input *in, yaml_parser_t *p)
{
	yaml_document_t next;

	yaml_parser_set_input_string(p, in->text, in->len);
	if (!yaml_parser_load(p, &y->doc)) {
		parser_complain(y, in, p);
		return;
	}
	if (!yaml_document_get_root_node(&y->doc))
		return;
	if (!yaml_parser_load(p, &next)) {
		parser_complain(y, in, p);
	} else {
		if (yaml_document_get_root_node(&next))
			doc_complain(y, doc_place(yaml_document_get_root_node(&next)),
				     "a second document");
		yaml_document_delete(&next);
	}
	if (y->complaints)
		yaml_document_delete(&y->doc);
}

static void reading(struct doc *y, struct input *in,
		    void (*read)(struct doc *y, struct input *in, yaml_parser_t *p))
{
	yaml_parser_t p;

	if (y->complaints)
		return;
	if (!yaml_parser_initialize(&p)) {
		doc_complain(y, (struct doc_place){ 0 }, "%s", strerror(ENOMEM));
		return;
	}
	read(y, in, &p);
	yaml_parser_delete(&p);
}

bool doc_load(struct doc *y, const char *path)
{
	bool standard = !strcmp(path, "-");
	struct input in = { .file = standard ? stdin : fopen(path, "re") };

	*y = (struct doc){ .name = standard ? "<stdin>" : path };
	if (!in.file) {
		doc_complain(y, (struct doc_place){ 0 }, "%s", strerror(errno));
		return false;
	}
	reading(y, &in, tags_check);
	reading(y, &in, document_load);
	free(in.text);
	if (!standard)
		fclose(in.file);
	return !y->complaints;
}
