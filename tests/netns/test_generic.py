# SPDX-License-Identifier: GPL-2.0-only
"""Generic XDP: what the kernel hands on to TC lacks its link header, and is served all the same."""

METHODS = {"nat": "-m", "dr": "-g", "tun": "-i"}


def serve(lab, build, method):
    at = lab.at
    lab.director.run(build / "bpvs" / "bpvs", "up", "--mode", "generic")
    lab.director.sysctl("net.ipv4.ip_forward", 1)
    if method != "-m":
        lab.director.ip("addr", "add", f"{at['VIP']}/24", "dev", "eth0")
    lab.ipvsadm("-A", "-t", f"{at['VIP']}:80", "-s", "rr")
    for rip in (at["RIP1"], at["RIP2"]):
        lab.ipvsadm("-a", "-t", f"{at['VIP']}:80", "-r", f"{rip}:80", method)


def test_first_packets_too(make_lab, build):
    for name, method in METHODS.items():
        lab = make_lab(name, "xdp", "--bare")
        serve(lab, build, method)
        # the first request of each server is handed up: its neighbour is not known
        got = [lab.client.run("curl", "-sS", "-m", "5", f"http://{lab.at['VIP']}/").stdout.strip()
               for _ in range(4)]
        assert set(got) == lab.texts
        assert got[:2] == got[2:]
        status = lab.director.run(build / "bpvs" / "bpvs", "status", "-v").stdout
        assert "xdp generic + tc" in status
        assert int(status.split("up-neighbour")[1].split()[0]) >= 1
        lab.down()
