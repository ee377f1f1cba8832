/* SPDX-License-Identifier: GPL-2.0-only */
/* Sysctls, addresses, links and routes of `bpvs realserver`: made, recorded, undone. */
#include "realserver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- sysctls: key is the path below /proc/sys ---- */

/* The form sysctl(8) prints: dots and slashes change places, so that eth0.100 stays readable. */
static const char *dotted(const char *key)
{
	static char text[256];
	size_t i;

	for (i = 0; key[i] && i + 1 < sizeof(text); i++)
		text[i] = key[i] == '/' ? '.' : key[i] == '.' ? '/' : key[i];
	text[i] = '\0';
	return text;
}

static int sysctl_read(const char *key, char *value, size_t size)
{
	char path[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/%s", key);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, value, size - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	value[n] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return 0;
}

static int sysctl_write(const char *key, const char *value)
{
	char path[256];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/proc/sys/%s", key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* as_good lists further values, one character each, that serve the purpose as they are. */
int rs_sysctl_set(struct rs_journal *j, const char *key, const char *want, const char *as_good)
{
	char was[32];
	int err = sysctl_read(key, was, sizeof(was));

	if (err)
		goto fail;
	if (!strcmp(was, want) || (was[0] && !was[1] && strchr(as_good, was[0]))) {
		printf("%s is %s already\n", dotted(key), was);
		return 0;
	}
	err = rs_journal_push(j, "sysctl\t%s\t%s\t%s", key, was, want);
	if (err)
		goto fail;
	err = sysctl_write(key, want);
	if (err) {
		rs_journal_pop(j);
		goto fail;
	}
	printf("%s was %s, now %s\n", dotted(key), was, want);
	return 0;
fail:
	fprintf(stderr, "bpvs realserver: %s: %s\n", dotted(key), strerror(-err));
	return err;
}

int rs_sysctl_undo(char *const field[])
{
	char is[32];
	int err = sysctl_read(field[1], is, sizeof(is));

	if (err == -ENOENT) {
		printf("%s is gone with its device\n", dotted(field[1]));
		return 0;
	}
	if (!err && strcmp(is, field[3])) {
		printf("%s left at %s: not the %s that was set here\n", dotted(field[1]), is,
		       field[3]);
		return 0;
	}
	if (!err)
		err = sysctl_write(field[1], field[2]);
	if (err)
		fprintf(stderr, "bpvs realserver: %s: %s\n", dotted(field[1]), strerror(-err));
	else
		printf("%s was %s, now %s\n", dotted(field[1]), is, field[2]);
	return err;
}

/*
 * A decapsulated packet has the client's address for its source, and the answer may well leave by
 * another device. Strict reverse path filtering (1) would drop it. Loose (2) is enough, since an
 * answer needs a route to the client anyway, and it beats `all` in the kernel's rule, the larger of
 * the two counts: `all`, and with it the other devices' protection, can stay as it is.
 */
int rs_rp_filter_loosen(struct rs_journal *j, const char *dev)
{
	char key[128], all[8], own[8];
	int err = sysctl_read("net/ipv4/conf/all/rp_filter", all, sizeof(all));

	snprintf(key, sizeof(key), "net/ipv4/conf/%s/rp_filter", dev);
	if (!err)
		err = sysctl_read(key, own, sizeof(own));
	if (err) {
		fprintf(stderr, "bpvs realserver: %s: %s\n", dotted(key), strerror(-err));
		return err;
	}
	if (atoi(all) != 2 && atoi(own) != 2 && (atoi(all) == 1 || atoi(own) == 1))
		return rs_sysctl_set(j, key, "2", "");
	printf("rp_filter is not strict on %s already\n", dev);
	return 0;
}

/* ---- addresses ---- */

static bool same_addr(const struct rs_addr *addr, const struct sockaddr *sa)
{
	if (!sa || sa->sa_family != addr->family)
		return false;
	if (sa->sa_family == AF_INET)
		return addr->in6.s6_addr32[3] == ((const struct sockaddr_in *)sa)->sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&addr->in6, &((const struct sockaddr_in6 *)sa)->sin6_addr);
}

bool rs_addr_find(const struct rs_addr *addr, const char *dev, bool on_it, char *ret_dev)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all))
		return false;
	for (struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		found = same_addr(addr, i->ifa_addr) && !strcmp(i->ifa_name, dev) == on_it;
		if (found && ret_dev)
			snprintf(ret_dev, IFNAMSIZ, "%s", i->ifa_name);
	}
	freeifaddrs(all);
	return found;
}

/* Runs ip(8); a failure is printed with what ip said. */
static int run_ip(const char *const argv[])
{
	char said[512];
	int status = rs_run(argv, NULL, said, sizeof(said));

	if (!status)
		return 0;
	fprintf(stderr, "bpvs realserver:");
	for (size_t i = 0; argv[i]; i++)
		fprintf(stderr, " %s", argv[i]);
	fprintf(stderr, ": %s\n", said[0] ? said : "cannot be run");
	return -EIO;
}

int rs_addr_add(struct rs_journal *j, const struct rs_addr *addr, const char *dev)
{
	char host[INET6_ADDRSTRLEN + 4];
	bool v4 = addr->family == AF_INET;
	/* an address that nobody else may defend needs no duplicate detection */
	const char *const add[] = { "ip", v4 ? "-4" : "-6",    "addr", "add", host, "dev",
				    dev,  v4 ? NULL : "nodad", NULL };
	int err;

	snprintf(host, sizeof(host), "%s/%d", addr->text, v4 ? 32 : 128);
	if (rs_addr_find(addr, dev, true, NULL)) {
		printf("%s is on %s already\n", addr->text, dev);
		return 0;
	}
	err = rs_journal_push(j, "addr\t%s\t%s", host, dev);
	if (!err) {
		err = run_ip(add);
		if (err)
			rs_journal_pop(j);
	}
	if (!err)
		printf("%s added to %s\n", host, dev);
	return err;
}

int rs_addr_undo(char *const field[])
{
	const char *const del[] = { "ip", "addr", "del", field[1], "dev", field[2], NULL };
	char text[INET6_ADDRSTRLEN + 4];
	struct rs_addr addr = {};

	snprintf(text, sizeof(text), "%s", field[1]);
	text[strcspn(text, "/")] = '\0';
	rs_addr_parse(text, &addr);
	if (!rs_addr_find(&addr, field[2], true, NULL)) {
		printf("%s is not on %s any more\n", field[1], field[2]);
		return 0;
	}
	if (run_ip(del))
		return -EIO;
	printf("%s removed from %s\n", field[1], field[2]);
	return 0;
}

/* ---- links: tunl0 comes into the world down ---- */

static bool link_is_up(const char *dev)
{
	struct ifaddrs *all;
	bool up = false;

	if (getifaddrs(&all))
		return false;
	for (struct ifaddrs *i = all; i && !up; i = i->ifa_next)
		up = !strcmp(i->ifa_name, dev) && (i->ifa_flags & IFF_UP);
	freeifaddrs(all);
	return up;
}

int rs_link_up(struct rs_journal *j, const char *dev)
{
	const char *const up[] = { "ip", "link", "set", dev, "up", NULL };
	int err;

	if (link_is_up(dev)) {
		printf("%s is up already\n", dev);
		return 0;
	}
	err = rs_journal_push(j, "link\t%s", dev);
	if (!err) {
		err = run_ip(up);
		if (err)
			rs_journal_pop(j);
	}
	if (!err)
		printf("%s was down, now up\n", dev);
	return err;
}

int rs_link_undo(char *const field[])
{
	const char *const down[] = { "ip", "link", "set", field[1], "down", NULL };

	if (!link_is_up(field[1])) {
		printf("%s is not up any more\n", field[1]);
		return 0;
	}
	if (run_ip(down))
		return -EIO;
	printf("%s was up, now down\n", field[1]);
	return 0;
}

/* ---- the default route ---- */

enum { MAX_ROUTE_WORDS = 32 };

static bool is_state(const char *word)
{
	return !strcmp(word, "linkdown") || !strcmp(word, "dead");
}

/* Words that ip prints of a route and does not want back, with their values. */
static bool is_volatile(const char *word)
{
	return !strcmp(word, "expires") || !strcmp(word, "hoplimit") || !strcmp(word, "pref");
}

/* `ip FAMILY route VERB` followed by the words of the text. */
static int route_change(const char *family, const char *verb, const char *text)
{
	const char *argv[4 + MAX_ROUTE_WORDS + 1] = { "ip", family, "route", verb };
	char words[256], *save = NULL;
	size_t n = 4;

	snprintf(words, sizeof(words), "%s", text);
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (is_state(w))
			continue;
		if (is_volatile(w))
			strtok_r(NULL, " ", &save);
		else if (n < 4 + MAX_ROUTE_WORDS)
			argv[n++] = w;
	}
	argv[n] = NULL;
	return run_ip(argv);
}

/*
 * The first default route, or "". `ip route replace` takes the place of the one with the metric
 * that it would give to a new one, 0 (not shown) for IPv4 and 1024 for IPv6; another one stays
 * beside ours.
 */
static int route_default(const char *family, char *line, size_t size)
{
	const char *const argv[] = { "ip", family, "route", "show", "default", NULL };
	int status = rs_run(argv, NULL, line, size);

	line[strcspn(line, "\n")] = '\0';
	for (size_t n = strlen(line); n && line[n - 1] == ' '; n--)
		line[n - 1] = '\0';
	return status ? -EIO : 0;
}

static bool would_be_replaced(const char *family, const char *line)
{
	const char *metric = strstr(line, " metric ");

	if (!strcmp(family, "-4"))
		return line[0] && !metric;
	return metric && atoi(metric + strlen(" metric ")) == 1024;
}

/* Whether the line routes via exactly this address. */
static bool goes_via(const char *line, const char *gateway)
{
	const char *via = strstr(line, " via ");
	size_t len = strlen(gateway);

	if (!via)
		return false;
	via += strlen(" via ");
	return !strncmp(via, gateway, len) && (via[len] == ' ' || !via[len]);
}

int rs_gateway_set(struct rs_journal *j, const struct rs_addr *gateway, const char *dev)
{
	const char *family = gateway->family == AF_INET ? "-4" : "-6";
	char old[256], new[128];
	int err = route_default(family, old, sizeof(old));

	if (err) {
		fprintf(stderr, "bpvs realserver: ip route: %s\n", old);
		return err;
	}
	if (goes_via(old, gateway->text)) {
		printf("%s already\n", old);
		return 0;
	}
	if (old[0] && !strstr(old, " dev ")) {
		fprintf(stderr, "bpvs realserver: the default route has several next hops: "
				"not changed\n");
		return -EBUSY;
	}
	if (!would_be_replaced(family, old))
		old[0] = '\0';
	snprintf(new, sizeof(new), "default via %s dev %s", gateway->text, dev);
	err = rs_journal_push(j, "route\t%s\t%s\t%s", family, new, old);
	if (err)
		return err;
	err = route_change(family, "replace", new);
	if (err) {
		rs_journal_pop(j);
		return err;
	}
	printf("%s, was %s\n", new, old[0] ? old : "absent");
	return 0;
}

int rs_route_undo(char *const field[])
{
	const char *verb = field[3][0] ? "replace" : "del";
	char is[256];

	if (route_default(field[1], is, sizeof(is)) || strncmp(is, field[2], strlen(field[2]))) {
		printf("default route left as it is: not \"%s\" any more\n", field[2]);
		return 0;
	}
	if (route_change(field[1], verb, field[3][0] ? field[3] : field[2]))
		return -EIO;
	if (field[3][0])
		printf("%s, was %s\n", field[3], field[2]);
	else
		printf("%s removed\n", field[2]);
	return 0;
}
