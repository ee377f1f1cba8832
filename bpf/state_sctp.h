/* SPDX-License-Identifier: GPL-2.0-only */
/* SCTP's states, as IPVS has them. */
#pragma once

#include "conn.h"
#include "sctp.h"

#define NO BPVS_SCTP_NONE
#define I1 BPVS_SCTP_INIT1
#define IN BPVS_SCTP_INIT
#define CS BPVS_SCTP_COOKIE_SENT
#define CR BPVS_SCTP_COOKIE_REPLIED
#define CW BPVS_SCTP_COOKIE_WAIT
#define CO BPVS_SCTP_COOKIE
#define CE BPVS_SCTP_COOKIE_ECHOED
#define ES BPVS_SCTP_ESTABLISHED
#define SS BPVS_SCTP_SHUTDOWN_SENT
#define SR BPVS_SCTP_SHUTDOWN_RECEIVED
#define SA BPVS_SCTP_SHUTDOWN_ACK_SENT
#define RJ BPVS_SCTP_REJECTED
#define CL BPVS_SCTP_CLOSED

/* Rows: event. Columns: the state now; 16 of them so that an index needs no multiplication. */
static const __u8 sctp_next[4][16][16] = {
	[TABLE_IN] = {
		/* of      NO, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL */
		[EV_DATA] = { ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_INIT] = { I1, IN, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, IN, IN },
		[EV_INIT_ACK] = { CW, CW, CW, CS, CR, CO, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_COOKIE_ECHO] = { CR, IN, IN, CR, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_COOKIE_ACK] = { ES, I1, IN, CS, CR, CW, CO, ES, ES, SS, SR, SA, RJ, CL },
		[EV_SHUTDOWN] = { SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL },
		[EV_SHUTDOWN_ACK] = { CL, IN, IN, CS, CR, CW, CO, CE, ES, CL, SR, CL, RJ, CL },
		[EV_SHUTDOWN_COMPLETE] = { CL, CL, CL, CS, CR, CW, CO, CE, ES, SS, SR, CL, RJ, CL },
		[EV_ERROR] = { CL, I1, IN, CS, CR, CW, CO, CL, ES, SS, SR, SA, RJ, CL },
		[EV_ABORT] = { CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL },
		[EV_NO_CHUNK] = { NO, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
	},
	[TABLE_OUT] = {
		[EV_DATA] = { ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_INIT] = { CW, CW, CW, CW, CW, CW, CW, CW, ES, CW, CW, CW, CW, CW },
		[EV_INIT_ACK] = { CS, CS, CS, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_COOKIE_ECHO] = { CE, CE, CE, CE, CE, CE, CE, CE, ES, SS, SR, SA, RJ, CL },
		[EV_COOKIE_ACK] = { ES, ES, ES, ES, ES, ES, ES, ES, ES, SS, SR, SA, RJ, CL },
		[EV_SHUTDOWN] = { SS, SS, SS, SS, SS, SS, SS, SS, SS, SS, SR, SA, RJ, CL },
		[EV_SHUTDOWN_ACK] = { SA, SA, SA, SA, SA, CW, CO, CE, ES, SA, SA, SA, RJ, CL },
		[EV_SHUTDOWN_COMPLETE] = { CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_ERROR] = { CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_ABORT] = { CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		[EV_NO_CHUNK] = { NO, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
	},
	[TABLE_IN_ONLY] = {
		[EV_DATA] = { ES, I1, IN, CS, CR, ES, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_INIT] = { I1, IN, IN, IN, IN, IN, CO, CE, ES, SS, SR, SA, IN, IN },
		[EV_INIT_ACK] = { CE, CE, CE, CE, CE, CE, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_COOKIE_ECHO] = { ES, ES, ES, ES, ES, ES, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_COOKIE_ACK] = { ES, I1, IN, ES, ES, CW, ES, ES, ES, SS, SR, SA, RJ, CL },
		[EV_SHUTDOWN] = { SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL },
		[EV_SHUTDOWN_ACK] = { CL, IN, IN, CS, CR, CW, CO, CE, CL, CL, SR, CL, RJ, CL },
		[EV_SHUTDOWN_COMPLETE] = { CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, CL, CL, RJ, CL },
		[EV_ERROR] = { CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[EV_ABORT] = { CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL },
		[EV_NO_CHUNK] = { NO, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
	},
};

static __always_inline __u32 sctp_step(__u64 *word, __u8 flags, bool reply)
{
	__u32 t = word_table(word, reply);

	return sctp_next[t][flags >> 4][word_state(*word) & 15];
}

#undef NO
#undef I1
#undef IN
#undef CS
#undef CR
#undef CW
#undef CO
#undef CE
#undef ES
#undef SS
#undef SR
#undef SA
#undef RJ
#undef CL
