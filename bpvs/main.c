/* SPDX-License-Identifier: GPL-2.0-only */
/* bpvs: what ipvsadm has no word for. */
#include <stdio.h>
#include <string.h>
#include "bpvs.h"
#include "verbs.h"

static const struct verb {
	const char *name;
	const char *args;
	const char *help;
	int (*run)(int argc, char **argv);
} verbs[] = {
#define BPVS_VERB(verb, args, help) { #verb, args, help, cmd_##verb },
#include "verbs.def"
#undef BPVS_VERB
};

void verb_usage(FILE *to, const char *verb, const char *before)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		const char *form = verbs[i].args, *end;

		if (strcmp(verb, verbs[i].name))
			continue;
		do {
			end = strchrnul(form, '\n');
			fprintf(to, "%sbpvs %s%s%.*s\n", before, verb, *form ? " " : "",
				(int)(end - form), form);
			form = end + 1;
		} while (*end);
	}
}

static void usage(FILE *to)
{
	fprintf(to, "Usage: bpvs VERB [ARGUMENTS]\n\n");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		verb_usage(to, verbs[i].name, "  ");
		fprintf(to, "        %s\n", verbs[i].help);
	}
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(argv[1], verbs[i].name))
			continue;
		if (argc != 3 || strcmp(argv[2], "--help"))
			return verbs[i].run(argc - 1, argv + 1);
		verb_usage(stdout, verbs[i].name, "");
		printf("        %s\n", verbs[i].help);
		return 0;
	}
	fprintf(stderr, "bpvs: no such verb: %s (try bpvs --help)\n", argv[1]);
	return 2;
}

/* What was done stays done; but a listing that is cut short must not pass for one. */
static int output_check(const char *verb, int status)
{
	int err = bpvs_stream_end(stdout);

	if (!err)
		return status;
	fprintf(stderr, "bpvs %s: %s\n", verb, strerror(-err));
	/* To whoever asks for differences, 1 says that he was shown them. */
	return !strcmp(verb, "diff") ? 2 : status ?: 1;
}

int main(int argc, char **argv)
{
	int status;

	bpvs_streams_hold();
	status = run(argc, argv);
	return argc < 2 ? status : output_check(argv[1], status);
}
