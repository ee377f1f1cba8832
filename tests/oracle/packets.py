# SPDX-License-Identifier: GPL-2.0-only
"""What the packet events send: each a list of steps for each of its flows."""

import dataclasses

import frames
from scenario import FormatError, flows

CLIENT, SERVER = "client", "server"
# Events of TCP that are several packets: who, flags, bytes of data.
SEQUENCES = {
    "syn": [(CLIENT, "S", 0)],
    "open": [(CLIENT, "S", 0), (SERVER, "SA", 0), (CLIENT, "A", 0)],
    "send": [(CLIENT, "PA", 8), (SERVER, "A", 0)],
    "recv": [(SERVER, "PA", 8), (CLIENT, "A", 0)],
    "shut": [(CLIENT, "FA", 0), (SERVER, "A", 0)],
    "sshut": [(SERVER, "FA", 0), (CLIENT, "A", 0)],
    "close": [(CLIENT, "FA", 0), (SERVER, "FA", 0), (CLIENT, "A", 0)],
    "rst": [(CLIENT, "R", 0)],
    "srst": [(SERVER, "R", 0)],
}
NUMBER_OPTIONS = {"len": 65000, "ttl": 255, "tos": 255, "mtu": 65535}
WORD_OPTIONS = ("nosum", "badsum", "df")
FRAGMENT = 1000  # bytes of IP payload


@dataclasses.dataclass
class Step:
    """A packet that one end of a flow sends."""

    by: str
    flags: str = ""
    data: int = 0
    chunks: tuple = ()

    @property
    def label(self):
        return " ".join(filter(None, [self.flags, ",".join(self.chunks)])) or "-"


@dataclasses.dataclass
class Plan:
    verb: str
    proto: int
    flows: list
    steps: list
    options: dict
    times: int = 1
    icmp: tuple | None = None
    by: str = CLIENT


def plan(event):
    """What a packet event sends; FormatError for what is not one."""
    verb, words = event.verb, list(event.words)
    try:
        return _PLANS.get(verb, _tcp_sequence)(verb, words)
    except IndexError:
        raise FormatError(f"{event.text}: too few words") from None
    except ValueError:
        raise FormatError(f"{event.text}: not a number") from None


def _options(words):
    """The words after the flow: options, and how many times."""
    options, times = {}, 1
    while words:
        word = words.pop(0)
        if word in WORD_OPTIONS:
            options[word] = True
        elif word == "call":
            options[word] = words.pop(0)
        elif word in NUMBER_OPTIONS:
            options[word] = int(words.pop(0), 0)
            if not 0 <= options[word] <= NUMBER_OPTIONS[word]:
                raise FormatError(f"{word} {options[word]}: out of range")
        elif word[0] == "x" and word[1:].isdigit() and 0 < int(word[1:]) <= 5000:
            times = int(word[1:])
        else:
            raise FormatError(f"{word}: no such option")
    return options, times


def _made(verb, proto, words, steps, need_port=True, **more):
    pairs = flows(words.pop(0), words.pop(0), need_port)
    options, times = _options(words)
    if "len" in options:
        for step in steps:
            step.data = options["len"]
    return Plan(verb, proto, pairs, steps, options, times, **more)


def _udp_by(verb, words):
    words[:2] = words[1::-1]
    return _made(verb, frames.UDP, words, [Step(SERVER, data=8)])


def _udp(verb, words):
    by = SERVER if verb == "udp-reply" else CLIENT
    return _made(verb, frames.UDP, words, [Step(by, data=8)])


def _tcp(verb, words):
    flags = words.pop(2)
    if flags != "-" and set(flags) - set(frames.FLAGS):
        raise FormatError(f"{flags}: not flags of SAFRPU, or -")
    by = SERVER if verb == "tcp-reply" else CLIENT
    return _made(verb, frames.TCP, words, [Step(by, flags.replace("-", ""))])


def _tcp_sequence(verb, words):
    steps = [Step(by, flags, data) for by, flags, data in SEQUENCES[verb]]
    return _made(verb, frames.TCP, words, steps)


def _sctp(verb, words):
    chunks = tuple(words.pop(2).split(","))
    for chunk in chunks:
        if chunk not in frames.CHUNKS:
            raise FormatError(f"{chunk}: no such chunk")
    by = SERVER if verb == "sctp-reply" else CLIENT
    return _made(verb, frames.SCTP, words, [Step(by, chunks=chunks)])


def _ping(verb, words):
    made = _made(verb, frames.ICMP, words, [Step(CLIENT, data=8)], need_port=False)
    if ":" in made.flows[0][0][0]:
        made.proto = frames.ICMP6
    return made


def _raw(verb, words):
    proto = int(words.pop(2))
    if not 0 < proto < 255 or proto in (*frames.NAMES, 4, 41, 44):
        raise FormatError(f"raw: protocol {proto} has an event of its own, or none")
    return _made(verb, proto, words, [Step(CLIENT, data=16)], need_port=False)


def _frag(verb, words):
    if words.pop(0) != "udp":
        raise FormatError("frag: only udp")
    made = _made(verb, frames.UDP, words, [Step(CLIENT, data=8)])
    if made.steps[0].data <= FRAGMENT:
        raise FormatError(f"frag: `len N` with N over {FRAGMENT}")
    return made


def _icmp_error(verb, words):
    by = CLIENT
    if verb == "icmp-error-by":
        by = words.pop(0)
        if by not in (SERVER, "router"):
            raise FormatError(f"icmp-error-by {by}: server or router")
    proto = words.pop(2)
    kind, _, code = words.pop(2).partition("/")
    if proto not in frames.NUMBERS:
        raise FormatError(f"{proto}: udp, tcp or sctp")
    return _made(verb, frames.NUMBERS[proto], words, [Step(by)],
                 icmp=(int(kind), int(code or 0)), by=by)


def _distribution(verb, words):
    kind = words.pop(0)
    if kind not in ("udp", "syn", "open"):
        raise FormatError(f"distribution {kind}: udp, syn or open")
    made = _PLANS.get(kind, _tcp_sequence)(kind, words)
    made.verb = verb
    return made


_PLANS = {
    "udp": _udp, "udp-reply": _udp, "udp-by": _udp_by, "tcp": _tcp, "tcp-reply": _tcp, "sctp": _sctp,
    "sctp-reply": _sctp, "ping": _ping, "raw": _raw, "frag": _frag, "icmp-error": _icmp_error,
    "icmp-error-by": _icmp_error, "distribution": _distribution,
}
