# SPDX-License-Identifier: GPL-2.0-only
"""The oracle's runner without a machine: format, frames, comparison, judgement."""

import argparse
import os
import pathlib
import runpy
import signal
import sys
import time

sys.path.append(str(pathlib.Path(__file__).parent.parent / "vm"))

import arena
import compare
import frames
import judge
import packets
import places
import pytest
import scenario
import work

SIMPLE = """
== first: a sentence   # a comment
# another
ipvsadm -A -t v1:80 -s rr
udp c1:2000..2001 v1:53 x2 len 20

== second: more
differs some-id
one machine
kernel >=6.12
ipvsadm-restore <<END
-A -u V1:53 -s wlc
END
wait 1.5
differs other-id?
"""


def test_scenarios_are_read():
    first, second = scenario.parse(SIMPLE)
    assert (first.name, first.sentence) == ("first", "a sentence")
    assert [e.verb for e in first.events] == ["ipvsadm", "udp"]
    assert second.events[0].stdin == "-A -u V1:53 -s wlc\n"
    assert second.ids() == ["some-id", "other-id?"]
    assert second.one_machine and not first.one_machine
    assert second.runs_on((7, 2)) and not second.runs_on((6, 1))


def test_a_scenario_written_out_reads_as_itself():
    for one in scenario.parse(SIMPLE):
        (again,) = scenario.parse(one.source())
        assert again.source() == one.source()
        assert again.ids() == one.ids()


@pytest.mark.parametrize("line", [
    "jump c1 v1", "udp c1 v1:53", "udp c1:1 V1:53", "tcp c1:1 v1:80 Q", "sctp c1:1 v1:80 FOO",
    "udp c100:1 v1:53", "udp c1..f3:1 v1:53", "look nothing", "wait 1000", "udp c1:1 v1:53 tiny",
    "udp c1:1..60000 v1:53", "icmp-error c1:1 v1:53 udp x", "ipvsadm-restore <<END", "kernel 6",
    "frag udp c1:1 v1:53 len 100", "icmp-error-by nobody c1:1 v1:53 udp 3/3",
])
def test_what_is_no_event_is_refused(line):
    with pytest.raises(scenario.FormatError):
        scenario.parse(f"== name: sentence\n{line}\n")


def test_names_in_words_of_ipvsadm():
    line = "-A -t v1:80 -r R300:80 --tcp-service=V50:http -M 255.255.255.0 -w 5 -d -r r1 -D"
    assert scenario.expand(line) == (
        "-A -t 10.0.1.101:80 -r [fd00:2::12c]:80 --tcp-service=[fd00:1::150]:http "
        "-M 255.255.255.0 -w 5 -d -r 10.2.0.1 -D")


@pytest.mark.parametrize("name", ["c1", "f60000", "v50", "w200", "r2000", "d", "o", "C99", "F300",
                                  "V1", "W17", "R2000", "D", "O"])
def test_names_and_addresses_belong_together(name):
    assert scenario.host_name(scenario.address(name)) == name


def test_ranges_go_with_the_virtual_end_fastest():
    pairs = scenario.flows("c1:5..6", "w1..w2:53")
    assert [(c[1], v[0]) for c, v in pairs] == [
        (5, "10.8.0.1"), (5, "10.8.0.2"), (6, "10.8.0.1"), (6, "10.8.0.2")]


@pytest.mark.parametrize("event", [
    "udp c1:1 v1:53 len 7", "tcp C1:1 V1:80 SAP len 3", "ping c1 v1", "udp C1:1 V1:53",
    "sctp c1:1 v1:80 COOKIE_ECHO,DATA", "ping C1 V1",
])
def test_frames_read_as_they_were_built(event):
    plan = packets.plan(scenario.Event(event))
    ((client, virtual),), step = plan.flows, plan.steps[0]
    packet = frames.Packet(client[0], virtual[0], plan.proto, client[1] or 0, virtual[1] or 0,
                           step.flags, b"x" * step.data, chunks=step.chunks,
                           icmp=(128, 0) if ":" in client[0] else (8, 0))
    seen = frames.read(packet.datagram())
    assert (seen.src, seen.dst, seen.proto) == (client[0], virtual[0], plan.proto)
    assert frames.checksum(seen) == "ok" and seen.head_ok
    for at in range(len(seen.raw) - len(seen.data), len(seen.raw)):
        spoilt = seen.raw[:at] + bytes([seen.raw[at] ^ 1]) + seen.raw[at + 1 :]
        assert frames.checksum(frames.read(spoilt)) == "bad", at


def test_crc32c_is_the_one_of_sctp():
    assert frames.crc32c(b"123456789") == (0xE3069283).to_bytes(4, "little")


@pytest.mark.parametrize("end", ["c1:9 v1:53", "C1:9 V1:53"])
def test_fragments_are_joined(end):
    import arena
    client, virtual = (scenario.ends(word)[0] for word in end.split())
    packet = frames.Packet(client[0], virtual[0], frames.UDP, 9, 53, data=b"abcdefgh" * 400)
    parts = [frames.read(p) for p in packet.fragments(1000)]
    assert len(parts) == 4 and all(p.fragment for p in parts)
    assert arena.join(parts[1:]) is None and arena.join(parts[:3]) is None
    joined = arena.join(parts[::-1])
    assert joined.data == packet.transport() and frames.checksum(joined) == "ok"


LIST = """IP Virtual Server version 1.2.1 (size={size})
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
"""
ONE = "TCP  10.0.1.101:80 rr\n  -> 10.2.0.2:80 Masq 1 0 1\n  -> 10.2.0.1:80 Masq 1 0 0\n"
TWO = "UDP  10.0.1.101:53 rr\n  -> 10.2.0.1:53 Masq 1 0 0\n"


def test_listings_differ_by_more_than_the_order_of_services():
    plain = LIST.format(size=4096) + ONE + TWO
    assert compare.same_services(plain, LIST.format(size=24576) + TWO + ONE)
    assert not compare.same_services(plain, LIST.format(size=4096) + ONE)
    assert not compare.same_services(plain, plain.replace("1 0 1", "1 1 0"))
    lines = ONE.splitlines(True)
    swapped = LIST.format(size=4096) + lines[0] + lines[2] + lines[1] + TWO
    assert not compare.same_services(plain, swapped)


def test_connections_differ_by_more_than_order_and_a_little_time():
    def rows(*lines):
        return "IPVS connection entries\npro expire state\n" + "".join(lines)

    a, b = "TCP 14:59  ESTABLISHED x y z\n", "UDP 05:00  UDP x y z\n"
    assert compare.same_conns(rows(a, b), rows(b, a.replace("14:59", "14:57")))
    assert not compare.same_conns(rows(a, b), rows(a, b.replace("05:00", "04:57")))
    assert not compare.same_conns(rows(a, b), rows(a))
    assert not compare.same_conns(rows(a, b), rows(a.replace("ESTABLISHED", "FIN_WAIT   "), b))
    assert compare.same_conns(rows(a, b, a), rows(a, b))  # the kernel may list one twice
    assert not compare.same_conns(rows(a, b), rows(a, b, a))
    late = a.replace("14:59", "14:52")
    slow, quick = "#clock 9.0 8.0\n", "#clock 3.0 2.0\n"
    assert compare.same_conns(slow + rows(late), quick + rows(a))
    assert not compare.same_conns(quick + rows(late), quick + rows(a))


def test_shares_are_compared_as_samples():
    assert compare.same_shares("r1 500\nr2 510", "r1 520\nr2 480")
    assert not compare.same_shares("r1 500\nr2 500", "r1 700\nr2 300")
    assert not compare.same_shares("r1 500\nr2 500", "r1 500\nr3 500")
    assert compare.same_shares("", "") and not compare.same_shares("r1 5", "")


def test_rates_may_be_off_by_their_phase_only():
    line = "IP Virtual Server\nProt CPS InPPS\nTCP  10.0.1.101:80 {} {}\n"
    assert compare.same_rates(line.format(100, "20K"), line.format(76, "15K"))
    assert not compare.same_rates(line.format(100, 0), line.format(20, 0))
    assert not compare.same_rates(line.format(100, 0), line.format(100, 0).replace("101", "102"))


EVENTS = "== planted: a difference\nwait 0\nipvsadm -L\nudp c1:1 v1:53\nwait 0\n"


class Engines:
    """Answers without engines: BPVS sends the packet elsewhere, if `wrong` says so."""

    def __init__(self, wrong):
        self.wrong = wrong
        self.runs = 0

    def answer(self, text, _fresh):
        self.runs += 1
        answers = {}
        for engine in ("kernel", "bpvs"):
            (read,) = scenario.parse(text)
            wrong = engine == "bpvs" and self.wrong(self.runs)
            results = [[("frames", "r2" if wrong else "r1")] if e.verb == "udp" else []
                       for e in read.events]
            answers[engine] = {"results": results, "seconds": 0}
        return answers

    def judge(self, text):
        steps = judge.Judgement(text).steps
        try:
            run = next(steps)
            while True:
                run = steps.send(self.answer(*run))
        except StopIteration as done:
            return done.value


def test_a_planted_difference_is_found_and_reduced():
    verdict = Engines(lambda run: True).judge(EVENTS)
    assert verdict["verdict"] == "different"
    assert (verdict["event"], verdict["kernel"], verdict["bpvs"]) == ("udp c1:1 v1:53", "r1", "r2")
    assert verdict["reduced"] == "== reduced: what is needed\nudp c1:1 v1:53\n"


def test_the_same_is_the_same():
    assert Engines(lambda run: False).judge(EVENTS)["verdict"] == "same"


def test_a_difference_that_does_not_come_again_is_unsteady():
    assert Engines(lambda run: run == 1).judge(EVENTS)["verdict"] == "unsteady"


@pytest.mark.parametrize("line, wrong, verdict", [
    ("udp c1:1 v1:53\ndiffers an-id", True, "listed"),
    ("udp c1:1 v1:53\ndiffers an-id", False, "stale"),
    ("udp c1:1 v1:53\ndiffers an-id?", False, "same"),
    ("udp c1:1 v1:53\nwait 0\ndiffers an-id?", True, "different"),
])
def test_listed_differences_are_those_of_their_event(line, wrong, verdict):
    text = EVENTS.replace("udp c1:1 v1:53", line)
    assert Engines(lambda run: wrong).judge(text)["verdict"] == verdict


@pytest.mark.parametrize("shown, verdict", [(1, "listed"), (2, "listed"), (3, "listed"), (4, "stale")])
def test_a_listed_difference_may_show_in_a_later_run(shown, verdict):
    engines = Engines(lambda run: run >= shown)
    text = EVENTS.replace("udp c1:1 v1:53", "udp c1:1 v1:53\ndiffers an-id")
    assert engines.judge(text)["verdict"] == verdict
    assert engines.runs == min(shown, 3)


def test_a_harness_that_fails_is_no_agreement():
    broken = Engines(lambda run: False)
    broken.answer = lambda text, fresh: {e: {"error": "boom"} for e in ("kernel", "bpvs")}
    assert broken.judge(EVENTS)["verdict"] == "failed"


@pytest.mark.parametrize("least, begun", [(0, 0), (2, 2), (9, 3)])
def test_so_many_begin_when_time_is_up(least, begun):
    runner = runpy.run_path(pathlib.Path(__file__).parent / "run")
    args = argparse.Namespace(seconds=-1, at_least=least)
    assert len(list(runner["Run"](args, scenario.parse(EVENTS) * 3).judgements())) == begun


def test_all_written_scenarios_read():
    assert len(scenario.load(pathlib.Path(__file__).parent / "scenarios")) > 300


class Stuck:
    """A world in which nothing comes back, whatever signal asks for it."""

    def __init__(self, _tools):
        pass

    def reset(self, _text, _fresh):
        while True:
            time.sleep(1)


def test_a_worker_that_hangs_is_replaced(monkeypatch):
    monkeypatch.setitem(arena.WORLDS, "stuck", Stuck)
    monkeypatch.setattr(work, "LIMIT", 0.2)
    workers = [work.Worker("stuck", {})]
    hung = workers[0]
    hung.start((7, {"text": "== one: of them\nlook list\n", "fresh": False}))
    assert not work.replace_overdue(workers)
    hung.since -= 1000
    ((task, answer),) = work.replace_overdue(workers)
    assert task[0] == 7 and "hung" in answer["error"]
    assert workers[0] is not hung and workers[0].task is None
    assert os.waitpid(hung.pid, 0)[1] == signal.SIGKILL
    workers[0].end()


REFUSED = "c1:1 w1:53 client sends -"
ANSWER = "  out c1: w1 > c1 icmp 3/3 ttl 64 quotes 36 about (c1:1 > w1:53 udp)"


@pytest.mark.parametrize("kernel, bpvs, explained", [
    (f"{REFUSED}: nothing", f"{REFUSED}\n{ANSWER}", True),
    (f"{REFUSED}\n{ANSWER.replace('w1 >', 'v1 >')}", f"{REFUSED}\n{ANSWER}", True),
    (f"{REFUSED}: nothing", f"{REFUSED}\n{ANSWER.replace('3/3', '3/1')}", False),
    (f"{REFUSED}\n  in r1: c1:1 > r1:53 udp", f"{REFUSED}\n  in r2: c1:1 > r2:53 udp", False),
    (f"{REFUSED}\n  in r1: c1:1 > r1:53 udp", f"{REFUSED}\n{ANSWER}", False),
])
def test_a_reason_explains_what_it_is_the_reason_of(kernel, bpvs, explained):
    ours, theirs = [("frames", kernel)], [("frames", bpvs)]
    assert compare.differs(ours, theirs)
    assert bool(compare.explained(["refused-not-local"], ours, theirs, set())) == explained
    assert compare.explained(["zero-at-once"], ours, theirs, set()) == ["zero-at-once"]


def test_two_reasons_explain_an_event_together():
    ours = [("frames", f"{REFUSED}: nothing\nA: nothing\n")]
    theirs = [("frames", f"{REFUSED}\n{ANSWER}\nA\n  in o: c1:1 > w1:53 tcp A\n")]
    assert not compare.explained(["refused-not-local"], ours, theirs, set())
    both = ["refused-not-local", "marked-passed-on"]
    assert len(compare.explained(both, ours, theirs, set())) == 2


@pytest.mark.parametrize("reply, explained", [
    ("\n  out c1: w1:80 > c1:1 tcp A ttl 63", True),
    ("\n  out c1: v1:80 > c1:1 tcp A ttl 63", False),
])
def test_who_got_what_was_passed_on_answers(reply, explained):
    sent, answer, passed = "c1:1 w1:80 client sends PA", "c1:1 w1:80 server sends A", set()
    ours = [("frames", f"{sent}\n  out c1: w1:80 > c1:1 tcp R\n{answer}: straight")]
    theirs = [("frames", f"{sent}\n  in o: c1:1 > w1:80 tcp PA\n{answer}{reply}")]
    assert bool(compare.explained(["marked-passed-on"], ours, theirs, passed)) == explained
    # so it is in later events, and not before
    for known in (passed, set()):
        ours, theirs = [("frames", f"{answer}\n  out c1: r1:80 > c1:1 tcp A")], [
            ("frames", f"{answer}{reply}")]
        assert bool(compare.explained(["marked-passed-on"], ours, theirs, known)) == (
            explained and known is passed)


def test_an_answer_to_what_was_passed_on_moves_the_numbers_after_it():
    sent = "c1:1 w1:80 client sends S"
    ours, theirs = ([("frames", f"{sent}\n  in r1: c1:1 > r1:80 tcp S seq 1 ack {ack} ttl 63")]
                    for ack in (5000, 5001))
    for passed, same in ((set(), False), ({"c1:1 w1:80"}, True)):
        assert bool(compare.explained(["marked-passed-on"], ours, theirs, passed)) == same
    report = "c1:1 w1:80 client reports -"
    ours, none = [("frames", f"{report}\n  in o: c1 > w1 icmp 3/3")], [("frames", f"{report}: nobody")]
    for passed, same in ((set(), False), ({"c1:1 w1:80"}, True)):
        assert bool(compare.explained(["marked-passed-on"], ours, none, passed)) == same
    ours = [("frames", f"{sent}\n  in r1: c1:1 > r1:80 tcp S seq 1 ack 5000 ttl 63")]
    other = [("frames", theirs[0][1].replace("r1", "r2"))]
    assert not compare.explained(["marked-passed-on"], ours, other, {"c1:1 w1:80"})


@pytest.mark.parametrize("frame, explained", [
    ("r1:80 > c1:1 tcp FA seq 1 ttl 63", True),
    ("r1:80 > c1:1 tcp FA seq 2 ttl 63", False),
    ("v2:80 > c1:1 tcp FA seq 1 ttl 63", False),
])
def test_what_is_still_translated(frame, explained):
    ours, theirs = ([("frames", f"c1:1 v1:80 server sends FA\n  out c1: {line}")]
                    for line in ("v1:80 > c1:1 tcp FA seq 1 ttl 63", frame))
    assert bool(compare.explained(["nodest-at-once"], ours, theirs, set())) == explained


CLOSED = "TCP 00:09  CLOSE       c1:2000   v1:80   r1:80\n"
OTHERS = "TCP 14:59  ESTABLISHED c1:2001   v1:80   r1:80\n"


@pytest.mark.parametrize("kernel, bpvs, explained", [
    (CLOSED + OTHERS, OTHERS, True),
    (OTHERS, CLOSED + OTHERS, False),
    (CLOSED + OTHERS, "", False),
])
def test_what_a_reset_revives_is_closed(kernel, bpvs, explained):
    ours, theirs = [("conns", kernel)], [("conns", bpvs)]
    assert bool(compare.explained(["nodest-at-once"], ours, theirs, set())) == explained


HOP = "  in r2: {}c1 > w7 icmp 3/0 ttl {} sum ok quotes 48 about (w7:80 > c1:1 tcp ttl 64)"


@pytest.mark.parametrize("kernel, bpvs, explained", [
    (HOP.format("", 62), HOP.format("", 63), True),
    (HOP.format("[D > R2 ipip ttl 62] ", 62), HOP.format("[D > R2 ipip ttl 63] ", 63), True),
    (HOP.format("[D > R2 ipip ttl 62] ", 62), HOP.format("[D > R2 ipip ttl 63] ", 62), False),
    (HOP.format("", 62), HOP.format("", 63).replace("ttl 64", "ttl 65"), False),
    (HOP.format("", 62), HOP.format("", 64), False),
])
def test_a_hop_less_is_one_of_the_error_and_its_tunnel(kernel, bpvs, explained):
    ours, theirs = ([("frames", f"{REFUSED}\n{frame}")] for frame in (kernel, bpvs))
    assert bool(compare.explained(["marked-errors-hop"], ours, theirs, set())) == explained


@pytest.mark.parametrize("kernel, bpvs, explained", [
    ("sync_qlen_max = 22449\n", "sync_qlen_max = 23241\n", True),
    ("sync_qlen_max = 22449\n", "sync_qlen_max = 25241\n", False),
    ("sync_qlen_max = 100\n", "error\n", False),
])
def test_a_default_by_memory_is_not_far_off(kernel, bpvs, explained):
    ours, theirs = [("text", kernel)], [("text", bpvs)]
    assert bool(compare.explained(["memory-then"], ours, theirs, set())) == explained


class Place:
    def __init__(self):
        self.texts = []

    def start(self, _number, task):
        self.texts.append(task["text"])


def test_what_is_asked_again_is_the_judges():
    quick, real = Place(), Place()
    sieve = places.Sieve(quick, real)
    for text, fresh in (("a", False), ("b", False), ("a", False), ("a", True), ("c", True)):
        sieve.start(0, {"text": text, "fresh": fresh})
    assert (quick.texts, real.texts) == (["a", "b"], ["a", "a", "c"])
