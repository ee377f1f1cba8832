# SPDX-License-Identifier: GPL-2.0-only
"""The parts of the command lines: what a careful reader of the option rules would try."""

# ---- tables to begin with ----

ONE = ["-A -t 10.0.0.1:80 -s rr"]
SERVED = ONE + ["-a -t 10.0.0.1:80 -r 10.0.0.11:80 -m"]
MARK = ["-A -f 7 -s wrr"]
MIXED = [
    "-A -t 10.0.0.1:80 -s wrr -p 100 -M 255.255.255.0",
    "-a -t 10.0.0.1:80 -r 10.0.0.11:80 -m -w 3 -x 100 -y 10",
    "-a -t 10.0.0.1:80 -r 10.0.0.12:8080 -m -w 0",
    "-a -t 10.0.0.1:80 -r 10.0.0.13:80 -i -w 65535",
    "-A -u 10.0.0.1:53 -s rr -o",
    "-a -u 10.0.0.1:53 -r 10.0.0.11 -g",
    "-A --sctp-service 10.0.0.2:1006 -s lc",
    "-A -f 7 -s sh -b sh-port",
    "-a -f 7 -r 10.0.0.11 -g -w 2",
    "-A -f 7 -6 -s mh -b mh-fallback,mh-port -p 60 -M 64",
    "-a -f 7 -6 -r [2001:db8::11]:80 -m",
    "-A -t [2001:db8::1]:443 -s wlc -p 360",
    "-a -t [2001:db8::1]:443 -r [2001:db8::11]:443 -g",
    "-a -t [2001:db8::1]:443 -r [2001:db8:1234:5678:9abc:def0:1234:5678]:443 -m -w 10",
    "-A -u 10.0.0.1:5060 -s rr -p 60 --pe sip",
    "-A -t 200.0.0.1:65535 -s sed",
    "-A -t 10.0.0.6:1007 -s nq",
    "-a -t 10.0.0.6:1007 -r 10.0.0.6:1004 -m",
]

# Names of every length, in every place where one is listed.
NAMED = [
    "-A -t 10.0.0.6:1007",
    "-a -t 10.0.0.6:1007 -r 10.0.0.6:1004 -m",
    "-A -f 7",
    "-a -f 7 -r 10.0.0.6:1007 -m",
    "-a -f 7 -r 10.0.0.11:80 -m",
    "-A -t [2001:db8::1]:1007",
    "-a -t [2001:db8::1]:1007 -r 10.0.0.6 -i",
    "-a -t [2001:db8::1]:1007 -r [2001:db8::11] -i",
    "-A --sctp-service [2001:db8:1111:2222:3333:4444:5555:6666]:1006",
    "-A -u 123.123.123.123:65535",
    "-a -u 123.123.123.123:65535 -r 123.123.123.124:65534 -m",
    "-A -t 10.0.0.5:1001 -p 60 --pe sip",
    "-A -f 4294967295 -6",
    "-a -f 4294967295 -6 -r [2001:db8::11]:1007 -m",
]

# ---- values ----

ENDPOINTS = """10.0.0.1:80 10.0.0.1 10.0.0.1: :80 : 10.0.0.1:http 10.0.0.1:www 10.0.0.1:domain 10.0.0.1:only-tcp
10.0.0.1:only-udp 10.0.0.1:only-sctp 10.0.0.1:differ 10.0.0.1:HTTP 10.0.0.1:nosuch 10.0.0.1:0 10.0.0.1:00080
10.0.0.1:65535 10.0.0.1:65536 10.0.0.1:-1 10.0.0.1:+80 10.0.0.1:0x50 10.0.0.1:80x 10.0.0.1:8.0 10.0.0.1:80:80
10.0.0.1::80 10.0.0.1:8080 10.0.0.1:99999999999999999999 vip:80 vip vip.example.com:http VIP:80 Vip.Example.Com:80
upper:80 two:80 both:80 both:http rs1 localhost:80 nosuch.invalid:80 nosuch vip6:80 vip6 [vip6]:80 [vip]:80 5five:80
5five vip.:80 vip-:80 .:80 -:80 10:80 10.1:80 10.1.2:80 0x0a000001:80 012.0.0.1:80 0:80 0.0.0.0:80 167772161:80
167772161 80 255.255.255.255:80 224.0.0.1:80 127.0.0.1:80 240.0.0.1:80 10.0.0.256:80 10.0.0.1.1:80 10.0.0.1.:80
10.0.0.:80 10..0.1:80 1.2.3.4.5 10.0.0.01:80 10.0.0.09:80 10.9.9.254:80 10.9.9.255:80 4294967295:80 4294967296:80
[10.0.0.1]:80 [10.0.0.1] 10.0.0.1]:80 [::1]:80 [::1]:http [::1]:nosuch [::1] [::1]: ::1 ::1:80 [::1]80 [::1 ::1]:80 [[::1]]:80
[]:80 [:80 ]:80 [] [2001:db8::1]:80 [2001:DB8::1]:80 [2001:db8:0:0:0:0:0:1]:80 [2001:0db8:0000:0000:0000:0000:0000:0001]:80
[2001:db8::1]:443 2001:db8::1 2001:db8::1:80 [2001:db8::g]:80 [2001:db8:::1]:80 [2001::db8::1]:80 [2001:db8::12345]:80
[1:2:3:4:5:6:7:8]:80 1:2:3:4:5:6:7:8 [1:2:3:4:5:6:7:8:9]:80 [1:2:3:4:5:6:7]:80 [::ffff:10.0.0.1]:80 ::ffff:10.0.0.1
[::ffff:0a00:1]:80 [::10.0.0.1]:80 [::ffff:10.0.0.256]:80 [fe80::1]:80 [fe80::1%lo]:80 [fe80::1%d0]:80 fe80::1%d0
[::]:80 [::]:0 [ff02::1]:80 [2001:db8::1]:0 [2001:db8::1]:65536 [2001:db8::1]:65535 [2001:db8::1]:-1 [2001:db8::1]:80:80
[2001:db8::1]:80] [2001:db8::1]::80 [2001:db8::1/64]:80 10.0.0.1/32:80 10.0.0.1/80 tcp://10.0.0.1:80 10.0.0.1,80
[2001:db8:9::254]:80 [64:ff9b::10.0.0.1]:80 [2001:db8::1]:https [2001:db8::1]:domain
[2001:db8:1111:2222:3333:4444:5555:6666]:80""".split()
ENDPOINTS += ["", " ", " 10.0.0.1:80", "10.0.0.1:80 ", "10.0.0.1 :80", "10.0.0.1: 80", "10.0.0.1:80 80", "\t10.0.0.1:80",
              "10.0.0.1 junk:80", "vip 80", "10.0.0.1:80\n", "x" * 300 + ":80", "10.0.0.1:" + "8" * 300, "é:80", "\udcff:80",
              "[" + "1" * 200 + "]:80", "10.0.0.1:" + " " * 50]

NUMBERS = ["0", "1", "2", "-1", "-0", "+0", "+1", "00", "01", "010", "08", "0x10", "0X1f", "1e3", "1.5", "1,000", "abc", "5x",
           "x5", "", " ", " 7", "7 ", "\t7", "7\t", "7\n", "1 2", "--5", "+-5", "-", "+", "255", "256", "300", "360", "1000",
           "1472", "65507", "65508", "65535", "65536", "2678400", "2678401", "2147483", "2147484", "2147483647",
           "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296", "9223372036854775807",
           "9223372036854775808", "-9223372036854775808", "99999999999999999999", "18446744073709551616", "inf", "nan",
           "1_000", "٣", "½"]

MASKS4 = """255.255.255.255 255.255.255.0 255.255.0.0 255.0.0.0 0.0.0.0 255.255.255.254 128.0.0.0 255.0.255.0 0.0.0.255
255.255.255.256 255.255.255 255.255 255 24 32 0 -1 33 /24 0xffffff00 0377.0377.0.0 255.255.255.0x 255.255.255.0.0
ffff:: :: 64 nosuch vip 4294967295 4294967296 255.255.255.0/24 1.2.3.4""".split() + ["", " ", "255.255.255.0 ",
                                                                               "255.255.255.0 junk"]
MASKS6 = """128 1 0 129 64 -1 +64 064 0x40 64x x64 255.255.255.0 ffff:: 99999999999 4294967424 -64 6.4""".split() + [
    "", " ", " 64", "64 "]

SCHEDULERS = """rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos RR Rr rr1 r none nosuch wlc,rr rr,wrr 1 0 -s
ip_vs_rr averyveryveryverylongname fifteen-letters sixteen-letters1 rr/../rr é""".split() + ["", " ", " rr", "rr ", "r r"]

FLAGS = """sh-port sh-fallback mh-port mh-fallback flag-1 flag-2 flag-3 sh-port,sh-fallback sh-fallback,sh-port
mh-port,mh-fallback flag-1,flag-2,flag-3 flag-3,flag-1 flag-1,flag-1 sh-port,mh-port sh-port,flag-1 flag-3,sh-port
flag-0 flag-4 flag SH-PORT sh port sh-ports nosuch sh-port,nosuch nosuch,sh-port , ,, sh-port, ,sh-port sh-port,,sh-fallback
flag-1;flag-2 0x8 8""".split() + ["", " ", "sh-port sh-fallback", "sh-port, sh-fallback", " flag-1"]

ENGINES = ["sip", "SIP", "nosuch", "none", "", " ", "sip,sip", "s", "sip ", "averyveryveryverylongname", "fifteen-letters",
           "sixteen-letters1"]

MARKS = ["1", "7", "0", "-1", "+7", "07", "010", "0x7", "7x", "7.0", "x", "", " ", " 7", "7 ", "2147483647", "2147483648",
         "4294967295", "4294967296", "9223372036854775808", "10.0.0.1", "7:80", "[7]"]

GROUPS = """224.0.0.81 224.0.0.90 239.255.255.255 240.0.0.1 223.255.255.255 10.0.0.1 ff02::1:81 ff02::81 ff01::1 fe80::1
2001:db8::1 ::1 :: [ff02::81] 224.0.0 224 nosuch vip 224.0.0.81:80 224.0.0.256""".split() + ["", " "]

INTERFACES = ["d0", "lo", "nosuch", "", " ", "eth0", "d0 ", "averyveryverylongname", "averyverylongn1", "averyverylongn12", "1",
              "d0:1"]

# ---- the command line's own ways ----

SPELLINGS = """-l -L --list --lis --l -list --LIST --List ---list -- - -? -H -V -V1 --vers --version -v --help -h --hel --usage -hv
-vh -Ln -nL -lnc -Lnn -ln -Lcn -cL -LX -LXn -LnX -L=n -Sn -nS -Rn -Cn -CL -LC -LL -L\t-n --list=yes --list= --save=x --clear=1
--numeric -n -c --rate --stats --timeout --daemon --set --restore=x -6 -t -A- -A-- --add-service=10.0.0.1:80 -AL
-Zt10.0.0.1:80 -Zt=10.0.0.1:80 -A=10.0.0.1:80 -At10.0.0.1:80 -At=10.0.0.1:80 -Att10.0.0.1:80 -Atsrr -Asrr -Ans -Lnt10.0.0.1:80
-Z- -C- --zero --zero=1 --exact -X --sort --nosort --persistent-conn --json --thresholds list save junk - 0 ''""".split()

LINES = """-A -t10.0.0.1:80 -srr
-A -t=10.0.0.1:80 -s=rr
-A --tcp-service=10.0.0.1:80 --scheduler=rr
-A --tcp-service 10.0.0.1:80 --scheduler rr
-A -tcp-service 10.0.0.1:80
-A --tcp-serv 10.0.0.1:80
-A --tcp 10.0.0.1:80
-A --TCP-SERVICE 10.0.0.1:80
-A --tcp-service= -s rr
-A --tcp-service=
-A --tcp-service
-A -t
-A -s
-A -t 10.0.0.1:80 -s
-A -t 10.0.0.1:80 --scheduler
-A -t 10.0.0.1:80 --scheduler=
-A -t 10.0.0.1:80 -s=
-A -t 10.0.0.1:80 -s ''
-A -t 10.0.0.1:80 -p
-A -t 10.0.0.1:80 -p 60
-A -t 10.0.0.1:80 -p60
-A -t 10.0.0.1:80 -p=60
-A -t 10.0.0.1:80 --persistent
-A -t 10.0.0.1:80 --persistent=60
-A -t 10.0.0.1:80 --persistent 60
-A -t 10.0.0.1:80 --persistent=
-A -t 10.0.0.1:80 --persistent= -s rr
-A -t 10.0.0.1:80 -p -s rr
-A -t 10.0.0.1:80 -p -- -s rr
-A -t 10.0.0.1:80 -p --
-A -t 10.0.0.1:80 -p - -s rr
-A -t 10.0.0.1:80 -p -5
-A -t 10.0.0.1:80 -p=-5
-A -t 10.0.0.1:80 -p 60 70
-A -p -t 10.0.0.1:80
-A -p 60 -t 10.0.0.1:80
-A -s rr -t 10.0.0.1:80
-A -t 10.0.0.1:80 -t 10.0.0.1:80
-A -t 10.0.0.1:80 -u 10.0.0.1:80
-A -u 10.0.0.1:80 -t 10.0.0.1:80
-A -t 10.0.0.1:80 -f 7
-A -f 7 -t 10.0.0.1:80
-A -f 7 -f 8
-A -f 7 --sctp-service 10.0.0.1:80
-A -t 10.0.0.1:80 -s rr -s wrr
-A -t 10.0.0.1:80 -s rr -s rr
-A -t 10.0.0.1:80 -p -p
-A -t 10.0.0.1:80 -p 60 --persistent
-A -t 10.0.0.1:80 -M 255.255.255.0 -M 255.255.0.0 -p
-A -u 10.0.0.1:80 -o -o
-A -u 10.0.0.1:80 -o --ops
-A -u 10.0.0.1:80 -oo
-A -u 10.0.0.1:80 -op
-A -u 10.0.0.1:80 -op60
-A -u 10.0.0.1:80 -po
-A -u 10.0.0.1:80 -o -p 60
-A -t 10.0.0.1:80 -b flag-1 -b flag-2
-A -t 10.0.0.1:80 --pe sip --pe sip -p
-A -f 7 -6
-A -f 7 -6 -6
-A -6 -f 7
-A -6 -t 10.0.0.1:80
-A -t 10.0.0.1:80 -6
-A -t [2001:db8::1]:80 -6
-A -f 7 --ipv6
-A -f7 -6
-A -f 7 -6s rr
-A -f 7 -6 -M 64 -p
-A -f 7 -M 64 -6 -p
-A -f 7 -M 64 -p
-A -f 7 -M 255.255.255.0 -6 -p
-A -f 7 -6 -M 255.255.255.0 -p
-A -M 255.255.255.0 -t [2001:db8::1]:80 -p
-A -M 64 -t [2001:db8::1]:80 -p
-A -t [2001:db8::1]:80 -M 64 -p
-A -M 255.255.255.0 -t 10.0.0.1:80 -p
-A 10.0.0.1:80
-A tcp 10.0.0.1:80
-A junk -t 10.0.0.1:80
-A -t 10.0.0.1:80 junk
-A -t 10.0.0.1:80 junk junk2
-A -t 10.0.0.1:80 -- junk
-A -t 10.0.0.1:80 --
-A -- -t 10.0.0.1:80
-- -A -t 10.0.0.1:80
-A -t -- 10.0.0.1:80
-A -t 10.0.0.1:80 -- -s rr
-A -t 10.0.0.1:80 - -s rr
-A -t 10.0.0.1:80 ''
-A '' -t 10.0.0.1:80
'' -A -t 10.0.0.1:80
-A -t ''
-A -t 10.0.0.1:80 -q
-A -t 10.0.0.1:80 --nosuch
-A -t 10.0.0.1:80 --nosuch=1
-A -t 10.0.0.1:80 -nosuch
-A -t 10.0.0.1:80 --nosuch -q
-A -t 10.0.0.1:99999 --nosuch
-A -t 10.0.0.1:80 -A
-A -t 10.0.0.1:80 -L
-A -A -t 10.0.0.1:80
-A -t 10.0.0.1:80 -h
-A -t 10.0.0.1:80 --help
-A -h
-h -A -t 10.0.0.1:80
-h junk
-h --nosuch
-v junk
-v -v
--version --help
-t 10.0.0.1:80 -A
-t 10.0.0.1:80
-s rr
-n -L
-n
-c -L
-c
junk -L
-L junk
-L -n junk
-L -n -n
-L --numeric -n
-Lnn
-L -t
-L -t 10.0.0.1:80 -n
-L -t 10.0.0.1:80 -t 10.0.0.1:80
-L -f 7 -n
-L -f 7 -6 -n
-L -6
-L -6 -f 7
-L -u 10.0.0.1:80
-L -t 10.0.0.1
-L -t 10.0.0.1:0
-L -t vip:http
-L -t 10.0.0.1:80 -r 10.0.0.11:80
-L -t 10.0.0.1:80 --timeout
-L -t 10.0.0.1:80 -c
-L --sort --nosort -n
-L --nosort --nosort
-L --sort --sort -n
-L --stats --stats
-L --stats=1
-L --exact=1
-L -X -n --stats
-L --rate --stats -n
-L --stats --rate -n
-L --thresholds --persistent-conn -n
-L --persistent-conn --thresholds -n
-L --tun-info --thresholds -n
-L --tun-info --stats -n
-L --daemon --timeout
-L --timeout --daemon
-L --timeout -n
-L --timeout --exact
-L --timeout --nosort
-L --timeout --tun-info
-L --timeout --stats
-L --timeout --rate
-L --timeout --thresholds
-L --timeout --persistent-conn
-L --daemon --stats
-L --daemon -n
-L -c -n
-L -c --timeout
-L -c --daemon
-L -c --stats
-L -c --rate
-L -c --thresholds
-L -c --persistent-conn
-L -c --tun-info
-L -c --exact
-L -c --nosort
-L -c --sort
-L -c --syncid 1
-L --syncid 1
-L --syncid 1 --daemon
-L --sync-maxlen 1
-L --mcast-interface d0
-L -p
-L -o
-C -n
-C junk
-C -C
-C -t 10.0.0.1:80
-Z -t 10.0.0.1:80
-Z -t 10.0.0.9:80
-Z -u 10.0.0.1:80
-Z -f 7
-Z -t 10.0.0.1:0
-Z -n
-Z -r 10.0.0.11:80
-Z junk
-Z -t 10.0.0.1:80 -r 10.0.0.11:80
-S
-S -n
-Sn
-S junk
-S -n junk
-S -t 10.0.0.1:80
-S -n -n
-S -c
-S --exact
-R junk
-R -n
-R -t 10.0.0.1:80
-R --nosuch
-D -t 10.0.0.1:80
-D -t 10.0.0.9:80
-D -t 10.0.0.1:0
-D -t 10.0.0.1
-D -f 7
-D -f 7 -6
-D -u 10.0.0.1:80
-D -t vip:http
-D -t vip:www
-D -t 10.0.0.1:80 -s rr
-D -t 10.0.0.1:80 -p
-D
-D -r 10.0.0.11:80
-D -t 10.0.0.1:80 -t 10.0.0.1:80
-E -t 10.0.0.1:80
-E -t 10.0.0.1:80 -s nosuch
-E -t 10.0.0.9:80 -s nosuch
-E -t 10.0.0.9:80 -s rr
-E -t 10.0.0.1:80 -p
-E -t 10.0.0.1:80 -p 60 -M 255.255.0.0
-E -t 10.0.0.1:80 -b flag-1
-E -t 10.0.0.1:80 -s sh -b sh-port
-E -t 10.0.0.1:80 -o
-E -t 10.0.0.1:80 --pe sip
-E -t 10.0.0.1:80 --pe nosuch
-E -t 10.0.0.1:80 --pe sip -p
-E -f 7 -s rr
-E
-a
-a -t 10.0.0.1:80
-a -r 10.0.0.12:80
-a -r 10.0.0.12:80 -t 10.0.0.1:80
-a -r 10.0.0.12 -t 10.0.0.1:80 -m
-a -r 10.0.0.12 -t 10.0.0.1:80 -g
-a -r 10.0.0.12 -f 7
-a -r rs2:http -t 10.0.0.1:80 -m
-a -t 10.0.0.1:80 -r rs2:http -m
-a -u 10.0.0.1:53 -r rs2:domain -m
-a -u 10.0.0.1:53 -r rs2:http -m
-a -f 7 -r rs2:http -m
-a -f 7 -r rs2:only-udp -m
-a -f 7 -r rs2:only-tcp -m
-a -f 7 -r 10.0.0.12:80 -g
-a -f 7 -r 10.0.0.12:80 -i
-a -f 7 -r [2001:db8::12]:80 -m
-a -f 7 -6 -r [2001:db8::12]:80 -m
-a -f 7 -6 -r 10.0.0.12:80 -m
-a -f 7 -r [2001:db8::12] -i
-a -t 10.0.0.1:80 -r 10.0.0.11:80 -m
-a -t 10.0.0.1:80 -r 10.0.0.11 -m
-a -t 10.0.0.1:80 -r 10.0.0.11:81
-a -t 10.0.0.9:80 -r 10.0.0.11:80
-a -t 10.0.0.1:81 -r 10.0.0.11:80
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -r 10.0.0.13:80
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -g -g
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -g -m
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -gm
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -i -m
-a -t 10.0.0.1:80 -r 10.0.0.12:80 --ipip --masquerading
-a -t 10.0.0.1:80 -r 10.0.0.12:80 --gatewaying=1
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -mw5
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -mw 5
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -wm
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -w 5 -w 6
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -w
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -x
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -y 5
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -x 5 -y 6
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -x 5 -y 5
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -x 0 -y 5
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -x 5 -x 6
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -s rr
-a -t 10.0.0.1:80 -r 10.0.0.12:80 -p
-a -t 10.0.0.1:80 -r
-a -t 10.0.0.1:80 -r ''
-a -t 10.0.0.1:80 -r 10.0.0.12:80 junk
-e -t 10.0.0.1:80 -r 10.0.0.11:80 -w 7
-e -t 10.0.0.1:80 -r 10.0.0.11:80
-e -t 10.0.0.1:80 -r 10.0.0.11:80 -m -x 5 -y 3
-e -t 10.0.0.1:80 -r 10.0.0.11:80 -m -x 3 -y 5
-e -t 10.0.0.1:80 -r 10.0.0.11:80 -i
-e -t 10.0.0.1:80 -r 10.0.0.11 -m
-e -t 10.0.0.1:80 -r 10.0.0.99:80
-e -t 10.0.0.9:80 -r 10.0.0.11:80
-e -t 10.0.0.1:80
-e -r 10.0.0.11:80
-e -t 10.0.0.1:80 -r 224.0.0.1:80
-d -t 10.0.0.1:80 -r 10.0.0.11:80
-d -t 10.0.0.1:80 -r 10.0.0.11
-d -t 10.0.0.1:80 -r 10.0.0.11:81
-d -t 10.0.0.1:80 -r 10.0.0.99
-d -t 10.0.0.9:80 -r 10.0.0.11
-d -t 10.0.0.1:80
-d -t 10.0.0.1:80 -r 10.0.0.11:80 -m
-d -t 10.0.0.1:80 -r 10.0.0.11:80 -w 1
-d -r 10.0.0.11:80 -t 10.0.0.1:80
-d -r 10.0.0.11 -t 10.0.0.1:80
-d -t 10.0.0.1:80 -r [2001:db8::11]:80
-d -t vip:http -r rs1:http
--set
--set 1
--set 1 2
--set 1 2 3
--set 1 2 3 4
--set 0 0 0
--set 5 0 0
--set 0 5 0
--set 0 0 5
--set=1 2 3
--set 1,2,3
--set '1 2 3'
--set '' 1 2
--set -1 2 3
--set -- -1 2 3
--set 1 -- 2 3
--set 1 2 -n 3
--set -n 1 2 3
--set 1 2 3 -n
--set 1 2 3 --nosuch
--set 1 2 3 -t 10.0.0.1:80
--set x 2 3
--set 1 x 3
--set 1 2 x
--set 1 2 2678401
--set 2678400 2678400 2678400
--set 2147483 1 1
--set 2147484 1 1
--set 1 2147484 1
--set 010 0x10 1
--start-daemon
--start-daemon master
--start-daemon=master --mcast-interface d0
--start-daemon MASTER --mcast-interface d0
--start-daemon mas --mcast-interface d0
--start-daemon master backup --mcast-interface d0
--start-daemon '' --mcast-interface d0
--start-daemon master --mcast-interface d0
--start-daemon backup --mcast-interface d0
--start-daemon master --mcast-interface=d0 --syncid=7
--start-daemon master --mcast-interface d0 --syncid 7 --sync-maxlen 1400 --mcast-group 224.0.0.90 --mcast-port 9000 --mcast-ttl 5
--start-daemon backup --mcast-interface d0 --syncid 7 --sync-maxlen 1400 --mcast-group ff02::90 --mcast-port 9000 --mcast-ttl 5
--start-daemon master --mcast-interface d0 --mcast-group 224.0.0.90 --mcast-group 224.0.0.91
--start-daemon master --mcast-interface d0 --mcast-interface d0
--start-daemon master --mcast-interface d0 -n
--start-daemon master --mcast-interface d0 -t 10.0.0.1:80
--start-daemon master --mcast-interface
--start-daemon master --mcast d0
--stop-daemon
--stop-daemon master
--stop-daemon backup
--stop-daemon=master
--stop-daemon both
--stop-daemon ''
--stop-daemon master --syncid 5
--stop-daemon master --mcast-interface d0
--stop-daemon master backup
--stop-daemon master junk""".split("\n")

# Lines for -R: what goes and what does not, in any mixture.
RESTORE_LINES = """-A -t 10.0.0.1:80 -s rr
-A -t 10.0.0.1:80 -s wrr
-A -u 10.0.0.1:53
-A -f 7 -6 -s sh -b sh-port
-A -t [2001:db8::1]:443 -p 60
-A -t vip:https -s lc
-A -t 10.0.0.9:80 -s nosuch
-E -t 10.0.0.1:80 -s lc -p 50
-E -t 10.0.0.99:80 -s lc
-D -t 10.0.0.1:80
-D -t 10.0.0.99:80
-a -t 10.0.0.1:80 -r 10.0.0.11:80 -m
-a -t 10.0.0.1:80 -r 10.0.0.12 -g -w 5
-a -t 10.0.0.1:80 -r 10.0.0.12 -i -w 5 -x 9 -y 3
-a -t 10.0.0.1:80 -r 224.0.0.1
-a -f 7 -6 -r [2001:db8::11] -m
-a -u 10.0.0.1:53 -r rs1:domain -m
-e -t 10.0.0.1:80 -r 10.0.0.11:80 -m -w 9
-e -t 10.0.0.1:80 -r 10.0.0.99:80 -m -w 9
-d -t 10.0.0.1:80 -r 10.0.0.11:80
-d -t 10.0.0.1:80 -r 10.0.0.99:80
-a -t 10.0.0.99:80 -r 10.0.0.11:80
-Z
-Z -t 10.0.0.99:80
-C
-L -n
-L -n -t 10.0.0.1:80
-L -t 10.0.0.99:80
-L --timeout
-S
-S -n
--set 10 20 30
--set 2147484 1 1
ipvsadm -A -t 10.0.0.2:80 -s rr
/sbin/ipvsadm -A -t 10.0.0.2:80
ipvsadm ipvsadm -A -t 10.0.0.3:80
-A ipvsadm -t 10.0.0.4:80
ipvsadm
# comment
#comment
   # comment with blanks before
   -A    -t   10.0.0.5:80    -s  rr
\t-A\t-t\t10.0.0.6:80\t-s\tsed\t
-A -t 10.0.0.7:80 -s rr # trailing
-A -t 10.0.0.7:80 -s 'rr'
-A -t "10.0.0.7:80" -s rr
-A -t 10.0.0.7:80 \\
-A -t 10.0.0.8:80 -s rr\r
--add-service --tcp-service 10.0.0.10:80 --scheduler rr
--add-service --tcp-service=10.0.0.10:81 --scheduler=rr
-A -t 10.0.0.1
-A -t 10.0.0.1:99999
-A -t
-A
-A -t 10.0.0.1:80 junk
-A -t 10.0.0.1:80 --nosuch
-A -t 10.0.0.1:80 -r 10.0.0.11
-Q
junk
-R
-R -n
-h
-v
--help
--version
--start-daemon nosuch
--stop-daemon master
-
--
;
-A -t 10.0.0.1:80; -A -t 10.0.0.2:80
-n
-A -t nosuch.invalid:80""".split("\n")
GOOD = slice(0, 25)
