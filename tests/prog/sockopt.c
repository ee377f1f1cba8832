/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls getsockopt() and setsockopt() with what a line of the input says, and prints what came of
 * it: the same program for kernel IPVS and, under `bpvs run`, for ours. A line is "get" or "set",
 * the kind of socket, level, option, length, and the bytes, hexadecimal, or "-" for a null pointer:
 * "get raw 0 1153 12 00". What the bytes do not fill is a5. A line of the output is the error's
 * number, and of a call to get that worked the length and the bytes but for the last ones of a5.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ROOM  65536
#define BLANK 0xa5

static const struct {
	const char *name;
	int domain, type, protocol;
} kinds[] = {
	{ "raw", AF_INET, SOCK_RAW, IPPROTO_RAW }, { "udp", AF_INET, SOCK_DGRAM, 0 },
	{ "tcp", AF_INET, SOCK_STREAM, 0 },	   { "raw6", AF_INET6, SOCK_RAW, IPPROTO_RAW },
	{ "udp6", AF_INET6, SOCK_DGRAM, 0 },	   { "tcp6", AF_INET6, SOCK_STREAM, 0 },
	{ "unix", AF_UNIX, SOCK_DGRAM, 0 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int socket_of(const char *kind)
{
	static int opened[KINDS];

	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i].name, kind))
			continue;
		if (!opened[i])
			opened[i] = socket(kinds[i].domain, kinds[i].type, kinds[i].protocol);
		return opened[i];
	}
	return -1;
}

static void print(const unsigned char *bytes, size_t size)
{
	while (size && bytes[size - 1] == BLANK)
		size--;
	for (size_t i = 0; i < size; i++)
		printf("%02x", bytes[i]);
}

static int exchange(const char *line)
{
	static char way[4], kind[8], hex[2 * ROOM + 1];
	static unsigned char bytes[ROOM];
	int level, option, len, sock, failed;
	size_t size = 0;
	void *value;

	if (sscanf(line, "%3s %7s %d %d %d %131072s", way, kind, &level, &option, &len, hex) != 6)
		return -1;
	sock = socket_of(kind);
	if (sock < 0)
		return -1;
	memset(bytes, BLANK, sizeof(bytes));
	value = *hex == '-' ? NULL : bytes;
	for (const char *h = hex; value && sscanf(h, "%2hhx", &bytes[size]) == 1; h += 2)
		size++;
	errno = 0;
	if (*way == 'g') {
		socklen_t got = (socklen_t)len;

		failed = getsockopt(sock, level, option, value, &got);
		printf("%d", failed ? errno : 0);
		if (!failed) {
			printf(" %d ", (int)got);
			print(bytes, sizeof(bytes));
		}
	} else {
		failed = setsockopt(sock, level, option, value, (socklen_t)len);
		printf("%d", failed ? errno : 0);
	}
	puts("");
	return 0;
}

int main(void)
{
	static char line[2 * ROOM + 64];

	while (fgets(line, sizeof(line), stdin)) {
		if (exchange(line)) {
			fprintf(stderr, "sockopt: %s", line);
			return 1;
		}
	}
	return 0;
}
