# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What makes the director of the DR lab. DIP is the address of eth0, VIP becomes its alias eth0:0.

sysctl -w net.ipv4.ip_forward=1
sysctl -w net.ipv6.conf.all.forwarding=1
ip addr replace "$VIP/24" broadcast "$VIP" dev eth0 label eth0:0
ip route replace "$VIP" dev eth0
ip addr replace "$VIP6/64" dev eth0 nodad

ipvsadm -C
ipvsadm -A -t "$VIP:80" -s rr
ipvsadm -a -t "$VIP:80" -r "$RIP1:80" -g
ipvsadm -a -t "$VIP:80" -r "$RIP2:80" -g

# the same for IPv6
ipvsadm -A -t "[$VIP6]:80" -s rr
ipvsadm -a -t "[$VIP6]:80" -r "[$RIP1_6]:80" -g
ipvsadm -a -t "[$VIP6]:80" -r "[$RIP2_6]:80" -g

# and for UDP
ipvsadm -A -u "$VIP:53" -s rr
ipvsadm -a -u "$VIP:53" -r "$RIP1:53" -g
ipvsadm -a -u "$VIP:53" -r "$RIP2:53" -g
ipvsadm -A -u "[$VIP6]:53" -s rr
ipvsadm -a -u "[$VIP6]:53" -r "[$RIP1_6]:53" -g
ipvsadm -a -u "[$VIP6]:53" -r "[$RIP2_6]:53" -g
