# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What makes the director of the NAT lab. VIP is the address of eth0, DIP that of eth1.

# packets pass from one side to the other
sysctl -w net.ipv4.ip_forward=1
sysctl -w net.ipv6.conf.all.forwarding=1
# no ICMP redirects: a real server must not learn of a way around the director
sysctl -w net.ipv4.conf.all.send_redirects=0
sysctl -w net.ipv4.conf.default.send_redirects=0
sysctl -w net.ipv4.conf.eth0.send_redirects=0
sysctl -w net.ipv4.conf.eth1.send_redirects=0

ipvsadm -C
ipvsadm -A -t "$VIP:80" -s rr
ipvsadm -a -t "$VIP:80" -r "$RIP1:80" -m
ipvsadm -a -t "$VIP:80" -r "$RIP2:80" -m

# the same for IPv6
ipvsadm -A -t "[$VIP6]:80" -s rr
ipvsadm -a -t "[$VIP6]:80" -r "[$RIP1_6]:80" -m
ipvsadm -a -t "[$VIP6]:80" -r "[$RIP2_6]:80" -m

# and for UDP
ipvsadm -A -u "$VIP:53" -s rr
ipvsadm -a -u "$VIP:53" -r "$RIP1:53" -m
ipvsadm -a -u "$VIP:53" -r "$RIP2:53" -m
ipvsadm -A -u "[$VIP6]:53" -s rr
ipvsadm -a -u "[$VIP6]:53" -r "[$RIP1_6]:53" -m
ipvsadm -a -u "[$VIP6]:53" -r "[$RIP2_6]:53" -m
