# SPDX-License-Identifier: GPL-2.0-only
"""Debian's vsftpd as it is, on a real server; and FTP spoken by hand."""

import os
import re
import signal
import socket
import subprocess

import netns

CONF = """\
listen=NO
listen_ipv6=YES
background=NO
anonymous_enable=YES
local_enable=NO
no_anon_password=YES
write_enable=YES
anon_upload_enable=YES
anon_umask=022
anon_root={root}
ftp_username=daemon
nopriv_user=nobody
connect_from_port_20=YES
secure_chroot_dir={empty}
seccomp_sandbox=NO
pasv_enable=YES
"""


class Server:
    """
    On a host; `root` has the files, `root`/in is where anybody may write. It leaves root's rights
    behind, so everybody has to reach `directory`.
    """

    def __init__(self, binary, libraries, host, directory, name):
        self.root = directory / name
        empty = directory / f"{name}.empty"
        for path, mode in ((self.root, 0o755), (self.root / "in", 0o777), (empty, 0o555)):
            path.mkdir()
            path.chmod(mode)
        (self.root / "name").write_text(name)
        conf = directory / f"{name}.conf"
        conf.write_text(CONF.format(root=self.root, empty=empty))
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", host.name, binary, conf], stdin=subprocess.DEVNULL,
            start_new_session=True, env=dict(os.environ, LD_LIBRARY_PATH=libraries))
        netns.wait_for("vsftpd", 10, lambda: self.listens(host))

    @staticmethod
    def listens(host):
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            return sock.connect_ex(("127.0.0.1", 21)) == 0

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(10)


class Session:
    """A control connection, line by line."""

    def __init__(self, host, family, vip):
        self.host, self.family, self.vip = host, family, vip
        self.sock = self.connect(21)
        self.lines = self.sock.makefile("r", newline="\r\n")
        assert self.answer().startswith("220"), "no greeting"

    def connect(self, port):
        sock = self.host.socket(socket.AF_INET if self.family == 4 else socket.AF_INET6,
                                socket.SOCK_STREAM)
        sock.settimeout(10 * netns.PATIENCE)
        sock.connect((self.vip, port))
        return sock

    def answer(self):
        while True:
            line = self.lines.readline()
            if not line or re.match(r"\d{3} ", line):
                return line.strip()

    def say(self, text):
        self.sock.sendall(f"{text}\r\n".encode())
        return self.answer()

    def login(self):
        self.say("USER anonymous")
        return self

    def close(self):
        self.lines.close()
        self.sock.close()
