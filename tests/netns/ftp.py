# SPDX-License-Identifier: GPL-2.0-only
"""Debian's vsftpd as it is, on a real server; and FTP spoken by hand."""

import os
import re
import signal
import socket
import subprocess
import threading

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


class Spoken(threading.Thread):
    """A server for one client at a time, which says its own address; a file is its name's text."""

    def __init__(self, host, family, address):
        super().__init__(daemon=True)
        self.host, self.family, self.address = host, family, address
        self.listener, self.passive, self.active = self.bound(21), None, None
        self.listener.listen()
        self.start()

    def bound(self, port):
        sock = self.host.socket(socket.AF_INET if self.family == 4 else socket.AF_INET6,
                                socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(10 * netns.PATIENCE)
        sock.bind((self.address, port))
        return sock

    def run(self):
        self.listener.settimeout(None)
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock, sock.makefile("rw", newline="\r\n") as lines:
                print("220 ready", file=lines, end="\r\n", flush=True)
                for line in lines:
                    verb, _, rest = line.strip().partition(" ")
                    print(self.answer(verb, rest), file=lines, end="\r\n", flush=True)

    def announced(self):
        self.passive = self.bound(0)
        self.passive.listen()
        return self.passive.getsockname()[1]

    def answer(self, verb, rest):
        if verb == "PASV":
            port = self.announced()
            numbers = [*self.address.split("."), str(port >> 8), str(port & 255)]
            return f"227 Entering Passive Mode ({','.join(numbers)})."
        if verb == "EPSV":
            return f"229 Entering Extended Passive Mode (|||{self.announced()}|)"
        if verb == "PORT":
            numbers = rest.split(",")
            self.active = ".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5])
        if verb == "EPRT":
            self.active = rest.split("|")[2], int(rest.split("|")[3])
        return self.file(rest) if verb == "RETR" else "200 ok"

    def file(self, text):
        if self.passive:
            with self.passive as listener:
                data, _ = listener.accept()
        else:
            data = self.bound(20)
            data.connect(self.active)
        self.passive = None
        with data:
            data.sendall(text.encode())
        return "226 sent"

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(10)


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
