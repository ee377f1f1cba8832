/* SPDX-License-Identifier: GPL-2.0-only */
/* CRC32c by the change of a packet's first word, against summing the packet bit by bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <linux/types.h>

__u32 bpvs_crc32c_diff(__u32 diff, __u32 len);

static __u32 crc_byte(__u32 crc, __u8 byte)
{
	crc ^= byte;
	for (int i = 0; i < 8; i++)
		crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	return crc;
}

static __u32 crc32c(const __u8 *p, size_t len)
{
	__u32 crc = ~0U;

	while (len--)
		crc = crc_byte(crc, *p++);
	return ~crc;
}

/* The check value of the polynomial's definition (RFC 3720), so that the naive one is right. */
static void test_naive(void **unused)
{
	(void)unused;
	assert_int_equal(crc32c((const __u8 *)"123456789", 9), 0xe3069283);
}

/* Packets with two first words differ by what is computed, whatever else is in them. */
static void test_packets(void **unused)
{
	__u8 a[600], b[600];
	__u32 word_a, word_b;

	(void)unused;
	for (size_t len = 4; len < sizeof(a); len++) {
		for (size_t i = 0; i < len; i++)
			a[i] = (__u8)(i * i * 7 + len * 13);
		memcpy(b, a, len);
		b[len & 3] ^= 0x5a;
		b[(len + 1) & 3] ^= len;
		memcpy(&word_a, a, 4);
		memcpy(&word_b, b, 4);
		assert_int_equal(crc32c(a, len) ^ crc32c(b, len),
				 bpvs_crc32c_diff(word_a ^ word_b, len));
	}
}

/* Every length that IP has, each half of the word: the diff's own CRC, a byte more at a time. */
static void test_lengths(void **unused)
{
	static const __u32 diffs[] = {
		0, 1, 0x80000000, 0xffff, 0xffff0000, 0x1f900000, 0x5a5aa5a5
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(diffs) / sizeof(diffs[0]); i++) {
		__u32 crc = 0;

		for (int byte = 0; byte < 4; byte++)
			crc = crc_byte(crc, diffs[i] >> 8 * byte);
		for (__u32 len = 4; len < 65536; len++) {
			assert_int_equal(bpvs_crc32c_diff(diffs[i], len), crc);
			crc = crc_byte(crc, 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_naive),
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
