# SPDX-License-Identifier: GPL-2.0-only
"""The IPv6 twin of a scenario that says `both families`: the same words with the other hosts.

Names of hosts become upper case, a mark's service gets its -6, ICMP's types become ICMPv6's.
"""

import re

HOST = re.compile(r"(?<![\w.:/=-])(?:[cfvwr]\d+|[do](?=[\s:,]|$))")
HOST_LATER = re.compile(r"(?<=\.\.)[cfvwr]\d+|(?<=,)[cfvwr]\d+")  # of a range, of a list
MARK = re.compile(r"(?<!\S)((?:-f|--fwmark-service) \d+)(?! -6)")
ERRORS = {"3/0": "1/0", "3/1": "1/3", "3/3": "1/4", "3/4": "2/0", "11/0": "3/0", "12/0": "4/0"}


class NoTwin(ValueError):
    pass


def twin_line(line):
    words = line.split()
    if re.search(r"(-M|--netmask)[ =]\d+\.", line) or "nosum" in words:
        raise NoTwin(f"{line}: has no twin in IPv6")
    line = HOST_LATER.sub(lambda m: m[0].upper(), HOST.sub(lambda m: m[0].upper(), line))
    if words[:1] and words[0].startswith("icmp-error"):
        return " ".join(ERRORS.get(word, word) for word in line.split())
    if words[:1] and (words[0] == "ipvsadm" or words[0].startswith("-") or words[0] == "look"):
        line = MARK.sub(r"\1 -6", line)
    return line


def twin(source):
    """A scenario's text in IPv6, named NAME-v6."""
    head, *lines = source.splitlines()
    name, sentence = re.match(r"==\s*([^:\s]+):\s*(.*)$", head).groups()
    return "\n".join([f"== {name}-v6: {sentence}", *map(twin_line, lines)]) + "\n"
