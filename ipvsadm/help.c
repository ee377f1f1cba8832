/* SPDX-License-Identifier: GPL-2.0-only */
/* --help and --version. */
#include <stdio.h>
#include "options.h"

/* The words again, to find the headings' places among them. */
enum word {
#define WORD(id, option, long_, short_, arg, help) WORD_##id,
#include "options.def"
};

static void version_print(void)
{
	puts("ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)");
}

static void usage_print(const char *program)
{
	static const char *const lines[] = {
		("-A|E virtual-service [-s scheduler] [-p [timeout]] [-M netmask] "
		 "[--pe persistence_engine] [-b sched-flags]"),
		"-D virtual-service",
		"-C",
		"-R",
		"-S [-n]",
		"-a|e virtual-service -r server-address [options]",
		"-d virtual-service -r server-address",
		"-L|l [virtual-service] [options]",
		"-Z [virtual-service]",
		"--set tcp tcpfin udp",
		"--start-daemon {master|backup} [daemon-options]",
		"--stop-daemon {master|backup}",
		"-h",
	};

	version_print();
	puts("Usage:");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		printf("  %s %s\n", program, lines[i]);
	puts("\nCommands:\nEither long or short options are allowed.");
#define COMMAND(id, name, long_, short_, arg, help) fputs(help, stdout);
#include "options.def"
	puts("\nvirtual-service:");
#define WORD(id, option, long_, short_, arg, help)                                                 \
	if (WORD_##id == WORD_IPV6)                                                                \
		puts("\nOptions:");                                                                \
	if (WORD_##id == WORD_SYNCID)                                                              \
		puts("Daemon Options:");                                                           \
	fputs(help, stdout);
#include "options.def"
}

void about_print(enum command cmd, const char *program)
{
	if (cmd == CMD_HELP)
		usage_print(program);
	else
		version_print();
}
