# SPDX-License-Identifier: GPL-2.0-only
"""The scenario format (README.md): reading it, the names of hosts, ranges."""

import dataclasses
import pathlib
import re
import socket

HOST = r"[cfvwrCFVWR]\d+|[doDO]"
WORD = re.compile(rf"(?<![\w.:\[/-])({HOST})(?::(\w+))?(?![\w.:\]/-])")
RANGE = re.compile(r"([a-zA-Z])(\d+)(?:\.\.([a-zA-Z])(\d+))?$")
LIMIT = {"c": 99, "f": 60000, "v": 50, "w": 200, "r": 2000}
LONE = {"d": ("10.2.255.254", "fd00:2::fffe"), "o": ("10.2.255.253", "fd00:2::fffd")}
MAX_PACKETS = 5000  # of one event: a slip in a range would take hours

PACKET_EVENTS = {
    "udp", "udp-reply", "udp-by", "tcp", "tcp-reply", "syn", "open", "send", "recv", "shut", "sshut", "close",
    "rst", "srst", "sctp", "sctp-reply", "ping", "icmp-error", "icmp-error-by", "frag", "raw",
    "distribution",
}
OTHER_EVENTS = {
    "ipvsadm", "ipvsadm-restore", "sysctl", "wait", "look", "mark", "mark-iptables", "unmark",
    "mtu",
}
LOOKS = {
    "list": ["-L", "-n"],
    "conns": ["-L", "-n", "-c"],
    "stats": ["-L", "-n", "--stats"],
    "rate": ["-L", "-n", "--rate"],
    "thresholds": ["-L", "-n", "--thresholds"],
    "persistent": ["-L", "-n", "--persistent-conn"],
    "save": ["-S", "-n"],
    "daemon": ["-L", "--daemon"],
    "timeout": ["-L", "--timeout"],
    "sysctl": None,
}
REDUCED = "reduced"  # the name of a scenario without the last looks
LAST_LOOKS = ["look list", "look conns", "look stats"]


class FormatError(Exception):
    pass


@dataclasses.dataclass
class Event:
    text: str
    stdin: str | None = None
    differs: list = dataclasses.field(default_factory=list)

    @property
    def verb(self):
        return self.text.split(None, 1)[0]

    @property
    def words(self):
        return self.text.split()[1:]

    def source(self):
        text = self.text if self.stdin is None else f"{self.text} <<END\n{self.stdin}END"
        return "\n".join([text, *(["differs " + " ".join(self.differs)] if self.differs else [])])


@dataclasses.dataclass
class Scenario:
    name: str
    sentence: str
    events: list
    differs: list = dataclasses.field(default_factory=list)
    kernels: list = dataclasses.field(default_factory=list)
    where: str = ""
    both: bool = False  # the IPv6 twin, too
    one_machine: bool = False  # both engines have to be in one

    def ids(self):
        """All entries of docs/differences.md that it names."""
        return [i for part in (self, *self.events) for i in part.differs]

    def source(self):
        lines = [f"== {self.name}: {self.sentence}"]
        if self.differs:
            lines.append("differs " + " ".join(self.differs))
        lines += ["one machine"] * self.one_machine
        lines += ["kernel " + limit for limit in self.kernels]
        lines += [event.source() for event in self.events]
        return "\n".join(lines) + "\n"

    def runs_on(self, kernel):
        """kernel: (major, minor)."""
        return all(_kernel_fits(limit, kernel) for limit in self.kernels)


def _kernel_fits(limit, kernel):
    match = re.match(r"(<=|>=|=|<|>)(\d+)(?:\.(\d+))?$", limit)
    if not match:
        raise FormatError(f"kernel {limit}: not OPERATOR and version")
    want = (int(match[2]), int(match[3] or 0))
    return {"<": kernel < want, ">": kernel > want, "<=": kernel <= want, ">=": kernel >= want,
            "=": kernel == want}[match[1]]


def address(name):
    """The address of a host's name."""
    six = name[0].isupper()
    kind = name[0].lower()
    if kind in LONE:
        return LONE[kind][six]
    number = int(name[1:])
    if not 1 <= number <= LIMIT[kind]:
        raise FormatError(f"{name}: there are {kind}1 to {kind}{LIMIT[kind]}")
    if six:
        return {"c": f"fd00:1::{number:x}", "f": f"fd09::{number:x}",
                "v": f"fd00:1::{100 + number}", "w": f"fd08::{number:x}",
                "r": f"fd00:2::{number:x}"}[kind]
    high, low = number >> 8, number & 255
    return {"c": f"10.0.1.{number}", "f": f"10.9.{high}.{low}", "v": f"10.0.1.{100 + number}",
            "w": f"10.8.0.{number}", "r": f"10.2.{high}.{low}"}[kind]


def host_name(addr):
    """The name of an address, or the address itself where it has none."""
    packed = socket.inet_pton(socket.AF_INET6 if ":" in addr else socket.AF_INET, addr)
    for kind, (four, six) in LONE.items():
        if addr in (four, six):
            return kind if addr == four else kind.upper()
    low = int.from_bytes(packed[-2:], "big")
    net = packed[:-2]
    if len(packed) == 4:
        if net == b"\x0a\x00" and low >> 8 == 1:
            last = low & 255
            return f"c{last}" if 0 < last < 100 else f"v{last - 100}" if 100 < last <= 150 else addr
        nets = {b"\x0a\x09": "f", b"\x0a\x02": "r"}
        kind = nets.get(net) or ("w" if net == b"\x0a\x08" and low <= 200 else None)
        return f"{kind}{low}" if kind and low and low <= LIMIT[kind] else addr
    digits = f"{low:x}"
    if net == bytes.fromhex("fd00000100000000000000000000"):
        if digits.isdigit() and 100 < int(digits) <= 150:
            return f"V{int(digits) - 100}"
        return f"C{low}" if 0 < low < 100 else addr
    kind = {bytes.fromhex("fd09") + bytes(12): "F", bytes.fromhex("fd08") + bytes(12): "W",
            bytes.fromhex("fd000002") + bytes(10): "R"}.get(net)
    return f"{kind}{low}" if kind and 0 < low <= LIMIT[kind.lower()] else addr


def expand(text):
    """ipvsadm's words, with hosts' names replaced by their addresses."""

    def one(match):
        addr = address(match[1])
        if match[2] is None:
            return addr
        return f"[{addr}]:{match[2]}" if ":" in addr else f"{addr}:{match[2]}"

    return WORD.sub(one, text)


def hosts(text):
    """`c1`, `f1..f40`: the names."""
    match = RANGE.match(text)
    if not match:
        if text in ("d", "D", "o", "O"):
            return [text]
        raise FormatError(f"{text}: not a host")
    first, last = int(match[2]), int(match[4] or match[2])
    if (match[3] or match[1]) != match[1] or last < first:
        raise FormatError(f"{text}: not a range of one kind")
    names = [f"{match[1]}{n}" for n in range(first, last + 1)]
    for name in (names[0], names[-1]):
        address(name)
    return names


def ends(text, need_port=True):
    """`c1:2000..2019`: pairs of address and port; port None where none is wanted."""
    host, colon, port = text.partition(":")
    if bool(colon) != need_port:
        raise FormatError(f"{text}: {'a port is missing' if need_port else 'no port, please'}")
    first, _, last = port.partition("..")
    try:
        ports = range(int(first), int(last or first) + 1) if colon else [None]
    except ValueError:
        raise FormatError(f"{text}: not a port") from None
    return [(address(name), port) for name in hosts(host) for port in ports]


def flows(client, virtual, need_port=True):
    """All pairs of the two ranges, the virtual end varying fastest."""
    pairs = [(c, v) for c in ends(client, need_port) for v in ends(virtual, need_port)]
    if len(pairs) > MAX_PACKETS:
        raise FormatError(f"{client} {virtual}: more than {MAX_PACKETS} packets")
    for (caddr, _), (vaddr, _) in pairs:
        if (":" in caddr) != (":" in vaddr):
            raise FormatError(f"{client} {virtual}: of two families")
    return pairs


def parse(text, where=""):
    """The scenarios of a text."""
    scenarios, lines, number = [], text.split("\n"), 0
    while number < len(lines):
        line = re.sub(r"(^|\s)#.*", "", lines[number]).strip()
        number += 1
        if not line:
            continue
        at = f"{where or 'scenario'}:{number}"
        if line.startswith("=="):
            scenarios.append(_head(line, at))
            continue
        if not scenarios:
            raise FormatError(f"{at}: an event before the first `== name: sentence`")
        try:
            number = _line(scenarios[-1], line, lines, number)
        except FormatError as error:
            raise FormatError(f"{at}: {error}") from None
    return [one for each in scenarios for one in with_twin(each)]


def with_twin(one):
    """The scenario, and its twin in IPv6 if it says `both families`."""
    if not one.both:
        return [one]
    import families  # only those who read files need it

    try:
        (twin,) = parse(families.twin(one.source()), one.where)
    except families.NoTwin as error:
        raise FormatError(f"{one.where}: {error}") from None
    return [one, twin]


def _head(line, at):
    match = re.match(r"==\s*([a-z0-9][a-z0-9.+-]*):\s*(.+)$", line)
    if not match:
        raise FormatError(f"{at}: not `== name: sentence`")
    return Scenario(match[1], match[2], [], where=at)


def _line(scenario, line, lines, number):
    """Take in a line and what belongs to it; returns the next line's number."""
    verb, _, rest = line.partition(" ")
    if verb == "differs":
        (scenario.events[-1] if scenario.events else scenario).differs.extend(rest.split())
        return number
    if line == "both families":
        scenario.both = True
        return number
    if line == "one machine":
        scenario.one_machine = True
        return number
    if verb == "kernel":
        scenario.kernels += rest.split()
        for limit in rest.split():
            _kernel_fits(limit, (6, 1))
        return number
    event = Event(line)
    heredoc = re.match(r"(.*?)\s*<<\s*(\w+)$", line)
    if heredoc:
        stop = number
        while stop < len(lines) and lines[stop].strip() != heredoc[2]:
            stop += 1
        if stop == len(lines):
            raise FormatError(f"<<{heredoc[2]} does not end")
        event = Event(heredoc[1], "".join(f"{l}\n" for l in lines[number:stop]))
        number = stop + 1
    check(event)
    scenario.events.append(event)
    return number


def check(event):
    """Is it an event of the format? What the words mean is checked where they are used."""
    if event.verb not in PACKET_EVENTS | OTHER_EVENTS:
        raise FormatError(f"{event.verb}: no such event")
    if event.verb in PACKET_EVENTS:
        import packets  # frames are built by whoever knows the event; not needed to read others

        packets.plan(event)
    if event.verb == "look":
        looks(event)
    if event.verb == "wait" and not 0 <= float(event.words[0]) <= 600:
        raise FormatError("wait: 0 to 600 seconds")


def looks(event):
    """`look`'s commands: (what, arguments of ipvsadm, or None for the sysctls)."""
    words, service = event.words, []
    if "of" in words:
        at = words.index("of")
        service = expand(" ".join(words[at + 1 :])).split()
        words = words[:at]
    if not words:
        raise FormatError("look at what?")
    result = []
    for what in words:
        plain = what.removeprefix("exact-")
        if plain not in LOOKS:
            raise FormatError(f"look {what}: no such thing")
        args = LOOKS[plain]
        if args is not None:
            args = [*args, *(["--exact"] if plain != what else []), *service]
        result.append((plain, args))
    return result


def load(directory):
    """All scenarios of a directory; their names are unique."""
    found, seen = [], {}
    for path in sorted(pathlib.Path(directory).glob("*.scn")):
        found += parse(path.read_text(), path.name)
    for scenario in found:
        if scenario.name in seen:
            raise FormatError(f"{scenario.where}: {scenario.name} is also at {seen[scenario.name]}")
        seen[scenario.name] = scenario.where
    return found
