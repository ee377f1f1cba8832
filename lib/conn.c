/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading the connection table while it changes. */
#include <netinet/in.h>
#include <string.h>
#include "internal.h"

static const char *const tcp_names[BPVS_TCP_STATES] = {
	[BPVS_TCP_NONE] = "NONE",	  [BPVS_TCP_ESTABLISHED] = "ESTABLISHED",
	[BPVS_TCP_SYN_SENT] = "SYN_SENT", [BPVS_TCP_SYN_RECV] = "SYN_RECV",
	[BPVS_TCP_FIN_WAIT] = "FIN_WAIT", [BPVS_TCP_TIME_WAIT] = "TIME_WAIT",
	[BPVS_TCP_CLOSE] = "CLOSE",	  [BPVS_TCP_CLOSE_WAIT] = "CLOSE_WAIT",
	[BPVS_TCP_LAST_ACK] = "LAST_ACK", [BPVS_TCP_LISTEN] = "LISTEN",
	[BPVS_TCP_SYNACK] = "SYNACK",
};

static const char *const sctp_names[BPVS_SCTP_STATES] = {
	[BPVS_SCTP_NONE] = "NONE",
	[BPVS_SCTP_INIT1] = "INIT1",
	[BPVS_SCTP_INIT] = "INIT",
	[BPVS_SCTP_COOKIE_SENT] = "C-SENT",
	[BPVS_SCTP_COOKIE_REPLIED] = "C-REPLIED",
	[BPVS_SCTP_COOKIE_WAIT] = "C-WAIT",
	[BPVS_SCTP_COOKIE] = "COOKIE",
	[BPVS_SCTP_COOKIE_ECHOED] = "C-ECHOED",
	[BPVS_SCTP_ESTABLISHED] = "ESTABLISHED",
	[BPVS_SCTP_SHUTDOWN_SENT] = "S-SENT",
	[BPVS_SCTP_SHUTDOWN_RECEIVED] = "S-RECEIVED",
	[BPVS_SCTP_SHUTDOWN_ACK_SENT] = "S-ACK-SENT",
	[BPVS_SCTP_REJECTED] = "REJECTED",
	[BPVS_SCTP_CLOSED] = "CLOSED",
};

const char *bpvs_conn_state_name(__u8 proto, __u8 state)
{
	if (proto == IPPROTO_SCTP)
		return state < BPVS_SCTP_STATES ? sctp_names[state] : "ERR!";
	if (proto == IPPROTO_UDP)
		return "UDP";
	if (proto != IPPROTO_TCP)
		return "NONE";
	return state < BPVS_TCP_STATES ? tcp_names[state] : "ERR!";
}

const char *bpvs_conn_state(const struct bpvs_conn_info *conn)
{
	if (conn->template)
		return conn->state & BPVS_TEMPLATE_ASSURED ? "ASSURED" : "NONE";
	return bpvs_conn_state_name(conn->proto, conn->state);
}

struct conn_copy {
	struct bpvs_conn conn;
	struct bpvs_conn6 conn6;
};

/*
 * The fields of a slot do not change while it is VALID in one generation, so a copy between two
 * reads of the word that agree on both is whole. The second word has the later expiry and state.
 */
static bool conn_copy(const struct bpvs_instance *in, __u32 slot, struct conn_copy *ret)
{
	const __u64 same = BPVS_WORD_STATUS | BPVS_WORD_GEN_MASK;
	const struct bpvs_conn *c = &in->conns[slot];
	__u64 word = __atomic_load_n(&c->word, __ATOMIC_ACQUIRE), again;

	if ((word & BPVS_WORD_STATUS) != BPVS_SLOT_VALID)
		return false;
	memcpy(&ret->conn, c, sizeof(ret->conn));
	if (ret->conn.flags & BPVS_CONN_V6)
		memcpy(&ret->conn6, &in->conns6[slot], sizeof(ret->conn6));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	again = __atomic_load_n(&c->word, __ATOMIC_RELAXED);
	ret->conn.word = again;
	return (word & same) == (again & same);
}

static struct bpvs_addr mapped(__be32 v4)
{
	return (struct bpvs_addr){ .w = { 0, 0, htonl(0xffff), v4 } };
}

/* A connection's real server is of the other family in a tunnel; the destination tells. */
static void conn_addrs(const struct bpvs_instance *in, const struct conn_copy *from,
		       struct bpvs_conn_info *ret)
{
	const struct bpvs_dest *d = NULL;

	if (from->conn.dest && from->conn.dest < in->cfg->tool_reserved[BPVS_TOOL_DEST_HIGH])
		d = &in->dests[from->conn.dest];
	if (ret->af == BPVS_V6) {
		ret->caddr = from->conn6.caddr;
		ret->vaddr = from->conn6.vaddr;
		ret->daddr = from->conn6.daddr;
	} else {
		ret->caddr = mapped(from->conn.caddr);
		ret->vaddr = mapped(from->conn.vaddr);
		ret->daddr = mapped(from->conn.daddr);
	}
	ret->daf = d && d->af ? d->af : ret->af;
	if (ret->daf != ret->af)
		ret->daddr = d->addr;
}

static void conn_info(const struct bpvs_instance *in, const struct conn_copy *from, __s32 left,
		      struct bpvs_conn_info *ret)
{
	const struct bpvs_conn *c = &from->conn;
	bool template = c->flags & BPVS_CONN_TEMPLATE;

	*ret = (struct bpvs_conn_info){
		/* A template by Call-ID keeps some of its hash there. */
		.cport = template ? 0 : c->cport,
		.vport = c->vport,
		/* As the kernel marks one that is not to be used any more. */
		.dport = c->word & BPVS_WORD_STALE ? htons(0xffff) : c->dport,
		.af = c->flags & BPVS_CONN_V6 ? BPVS_V6 : BPVS_V4,
		.proto = template ? (__u8)~c->proto : c->proto,
		.state = (c->word & BPVS_WORD_STATE_MASK) >> BPVS_WORD_STATE_SHIFT,
		.fwd = bpvs_fwd_nat(c->flags & BPVS_CONN_FWD) ? BPVS_FWD_MASQ
							      : c->flags & BPVS_CONN_FWD,
		.active = c->word & BPVS_WORD_ACTIVE,
		.template = template,
		.dest = c->dest,
		.expires_ms = (__s32)((__s64)left * 1000 / bpvs_clock_hz(in)),
		.pkts = c->pkts,
	};
	conn_addrs(in, from, ret);
}

/* The Call-ID of a template that has one, or NULL. */
static const char *call_text(struct bpvs_instance *in, __u32 slot, const struct bpvs_conn *c,
			     char text[256])
{
	struct bpvs_call call;

	if (!(c->flags & BPVS_CONN_CALL) || bpvs_map_call_get(in, slot, &call))
		return NULL;
	memcpy(text, call.text, call.len);
	text[call.len] = '\0';
	return text;
}

/* Expired ones are passed over: the data path does not know them any more either. */
int bpvs_conn_walk(struct bpvs_instance *in, bpvs_conn_cb cb, void *arg)
{
	__u32 slots = in->ro->slots + BPVS_CONN_WINDOW + in->ro->spills;
	int err = bpvs_conns_open(in);

	if (err)
		return err;
	for (__u32 slot = 0; slot < slots; slot++) {
		struct bpvs_conn_info info;
		struct conn_copy copy;
		char text[256];
		int left, ret;

		if (!conn_copy(in, slot, &copy))
			continue;
		/* Its destination may be younger than this instance is open. */
		err = bpvs_reach(in);
		if (err)
			return err;
		left = -bpvs_clock_since(in, (__u32)(copy.conn.word >> BPVS_WORD_EXPIRY_SHIFT));
		if (left <= 0)
			continue;
		conn_info(in, &copy, left, &info);
		info.call = call_text(in, slot, &copy.conn, text);
		ret = cb(&info, arg);
		if (ret)
			return ret;
	}
	return 0;
}
