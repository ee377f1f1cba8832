# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The labs' topologies: hosts as network namespaces, addresses, real servers. Sourced by lab and
# demo; the tests come through lab. Nothing else knows an address or a namespace's name.
#
#   nat  client -- VIP director DIP -- rs1, rs2    two networks, the director is the way back
#   dr   client, director, rs1, rs2                one network, answers bypass the director
#   tun  the same wires as dr, requests travel inside IP packets
#
# Every host hangs on a bridge in a namespace of its own, `switch`. Namespaces are called
# PREFIX-LAB-HOST; another BPVS_LAB_PREFIX gives another set of labs.

topo_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
topo_prefix=${BPVS_LAB_PREFIX:-bpvs}
topo_hosts=(client director rs1 rs2)

# The commands that the labs run are spelled `bpvs` and `ipvsadm`: let these be the ones of this
# tree, or those beside the bpvs that called.
topo_path() {
    local bpvs=${BPVS:-${BPVS_BUILD:-$topo_dir/../build}/bpvs/bpvs} dir
    [ -x "$bpvs" ] || return 0
    dir=$(cd "$(dirname "$bpvs")" && pwd)
    PATH=$dir:$PATH
    if [ -d "$dir/../ipvsadm" ]; then
        PATH=$(cd "$dir/../ipvsadm" && pwd):$PATH
    fi
}
topo_path

topo_die() {
    echo "lab: $*" >&2
    exit 1
}

# Set what is particular to a lab. Exported: the director's scripts take the addresses from here.
topo_load() {
    export LAB=$1
    export DIP=192.168.229.133 RIP1=192.168.229.132 RIP2=192.168.229.134
    export DIP6=fd00:229::133 RIP1_6=fd00:229::132 RIP2_6=fd00:229::134
    TEXT1="I am RealServer1 $RIP1" TEXT2="I am RealServer2 $RIP2"
    case $LAB in
    nat)
        export VIP=192.168.1.111 CIP=192.168.1.10 VIP6=fd00:1::111 CIP6=fd00:1::10
        topo_devices=(eth0 eth1)
        ;;
    dr | tun)
        export VIP=192.168.229.111 CIP=192.168.229.10 VIP6=fd00:229::111 CIP6=fd00:229::10
        topo_devices=(eth0)
        ;;
    *) topo_die "no such lab: $LAB (nat, dr, tun)" ;;
    esac
    topo_state=/run/bpvs-lab/$topo_prefix-$LAB
}

# One line a cable: host, its device, the bridge, the device's addresses. The director's VIP of DR
# and TUN is an alias, which its script adds; with NAT it is the address of the outer side.
topo_cables() {
    if [ "$LAB" = nat ]; then
        echo "client eth0 outside $CIP/24 $CIP6/64"
        echo "director eth0 outside $VIP/24 $VIP6/64"
        echo "director eth1 inside $DIP/24 $DIP6/64"
    else
        echo "client eth0 inside $CIP/24 $CIP6/64"
        echo "director eth0 inside $DIP/24 $DIP6/64"
    fi
    echo "rs1 eth0 inside $RIP1/24 $RIP1_6/64"
    echo "rs2 eth0 inside $RIP2/24 $RIP2_6/64"
}

topo_ns() {
    echo "$topo_prefix-$LAB-$1"
}

topo_run() {
    ip netns exec "$(topo_ns "$1")" "${@:2}"
}

# Run it after having shown it.
topo_show() {
    echo "$1# ${*:2}"
    topo_run "$@"
}

topo_is_up() {
    [ -e "$topo_state/mode" ]
}

topo_add_host() {
    local ns
    ns=$(topo_ns "$1")
    ip netns add "$ns"
    ip -n "$ns" link set lo up
    # addresses are to work at once; duplicates cannot be
    topo_run "$1" sysctl -qw net.ipv6.conf.{all,default}.accept_dad=0
}

topo_add_switch() {
    local bridge
    ip netns add "$(topo_ns switch)"
    topo_run switch sysctl -qw net.ipv6.conf.{all,default}.disable_ipv6=1
    for bridge in $(topo_cables | cut -d' ' -f3 | sort -u); do
        ip -n "$(topo_ns switch)" link add "$bridge" up type bridge
    done
}

# host, device, bridge, addresses: the switch's end is called after the host and the device's
# number
topo_add_cable() {
    local host=$1 dev=$2 bridge=$3 addr switch ns port=$1-${2#eth}
    switch=$(topo_ns switch)
    ns=$(topo_ns "$host")
    ip -n "$switch" link add "$port" type veth peer name "$dev" netns "$ns"
    ip -n "$switch" link set "$port" master "$bridge" up
    ip -n "$ns" link set "$dev" up
    for addr in "${@:4}"; do
        case $addr in
        *:*) ip -n "$ns" addr add "$addr" dev "$dev" nodad ;;
        *) ip -n "$ns" addr add "$addr" dev "$dev" ;;
        esac
    done
}

topo_pass_object() {
    local file
    for file in "$topo_dir/pass.bpf.o" "${BPVS_BUILD:-$topo_dir/../build}/bpf/pass.bpf.o"; do
        if [ -e "$file" ]; then
            echo "$file"
            return
        fi
    done
    topo_die "pass.bpf.o is neither beside $topo_dir/lab nor built"
}

# veth hands XDP what the sender's stack made: a checksum to be filled in by hardware that is not
# there, or one large packet for it to cut. Senders finish their packets where XDP reads them. And
# frames from XDP reach the peer of a veth only if that has a program (XDP_TX) or GRO
# (XDP_REDIRECT).
topo_prepare_xdp() {
    local host dev rest object
    object=$(topo_pass_object) || exit 1
    while read -r host dev rest; do
        local port=$host-${dev#eth}
        topo_run switch ethtool -K "$port" tx off tso off gso off >/dev/null
        if [ "$host" = director ]; then
            topo_run switch ethtool -K "$port" gro on >/dev/null
            ip -n "$(topo_ns switch)" link set "$port" xdpdrv object "$object" section xdp
        else
            topo_run "$host" ethtool -K "$dev" tx off tso off gso off >/dev/null
        fi
    done < <(topo_cables)
}

topo_nginx() {
    local dir=$topo_state/$1
    cat >"$dir/nginx.conf" <<EOF
user root;
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/error.log;
events { worker_connections 512; }
http {
    access_log off;
    default_type text/plain;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    server {
        listen 80;
        listen [::]:80 ipv6only=on;
        root $dir/www;
    }
}
EOF
    topo_run "$1" nginx -c "$dir/nginx.conf" -p "$dir" -e "$dir/error.log"
}

# Answers come from the address that the responder is bound to: where the client asked the VIP and
# no director rewrites the answer, that must be the VIP. The question is read before the answer is
# made, or socat may find nobody to give it to and fail. $1 host, then its two addresses to bind
# to.
topo_udp() {
    local host=$1 dir=$topo_state/$1 n=4 addr
    for addr in "${@:2}"; do
        # not by topo_run: $! is to be socat's
        ip netns exec "$(topo_ns "$host")" socat "UDP$n-RECVFROM:53,bind=$addr,reuseaddr,fork" \
            "SYSTEM:head -c1 >/dev/null; cat $dir/www/index.html" \
            </dev/null >/dev/null 2>"$dir/udp$n.log" &
        echo $! >"$dir/udp$n.pid"
        topo_wait_udp "$host" "$addr"
        n=6
    done
}

topo_wait_udp() {
    local end=$((SECONDS + 30))
    while [ "$SECONDS" -lt "$end" ]; do
        topo_run "$1" ss -Hlun | grep -qF -- " $2:53 " && return
        sleep 0.05
    done
    topo_die "$1: no UDP responder on $2"
}

# $1 host, $2 its text, $3 and $4 its addresses
topo_real_server() {
    local host=$1 dir=$topo_state/$1
    mkdir -p "$dir/www"
    echo "$2" >"$dir/www/index.html"
    if [ "$LAB" = nat ]; then
        topo_show "$host" bpvs realserver up --mode nat --gateway "$DIP" --gateway "$DIP6"
    else
        topo_show "$host" bpvs realserver up --mode "$LAB" --vip "$VIP" --vip "$VIP6"
    fi
    topo_nginx "$host"
    if [ "$LAB" = nat ]; then
        topo_udp "$host" "$3" "[$4]"
    else
        topo_udp "$host" "$VIP" "[$VIP6]"
    fi
}

# Wires and hosts: $1 is the mode, xdp or tc.
topo_wires() {
    local host cable
    if topo_is_up; then
        topo_die "$LAB is up already"
    fi
    mkdir -p "$topo_state"
    echo "$1" >"$topo_state/mode"
    topo_add_switch
    for host in "${topo_hosts[@]}"; do
        topo_add_host "$host"
    done
    while read -r -a cable; do
        topo_add_cable "${cable[@]}"
    done < <(topo_cables)
    if [ "$1" = xdp ]; then
        topo_prepare_xdp
    fi
}

topo_real_servers() {
    topo_real_server rs1 "$TEXT1" "$RIP1" "$RIP1_6"
    topo_real_server rs2 "$TEXT2" "$RIP2" "$RIP2_6"
}

topo_director() {
    local dev devices=()
    for dev in "${topo_devices[@]}"; do
        devices+=(--dev "$dev")
    done
    topo_show director bpvs up --mode "$(cat "$topo_state/mode")" "${devices[@]}"
    # traced by itself: as root, bash takes no PS4 from outside
    topo_run director bash -eu <(
        printf '%s\n' "PS4='director# '" BASH_XTRACEFD=1 'set -x'
        cat "$topo_dir/$LAB.sh"
    )
}

topo_ours() {
    [ "$(ip netns identify "$1" 2>/dev/null)" = "$(topo_ns "$2")" ]
}

# Processes are ended by the id that they left, if it still is one of that namespace.
topo_kill() {
    local file pid host _
    for file in "$topo_state"/*/*.pid; do
        [ -e "$file" ] || continue
        pid=$(cat "$file")
        host=$(basename "$(dirname "$file")")
        topo_ours "$pid" "$host" || continue
        kill "$pid" 2>/dev/null || continue
        for _ in {1..40}; do
            topo_ours "$pid" "$host" || break
            sleep 0.05
        done
    done
}

# What a host keeps outside its namespace goes first, and quietly: it may never have got so far.
topo_down() {
    local host ns pids
    topo_kill
    for host in "${topo_hosts[@]}" switch; do
        ns=$(topo_ns "$host")
        ip netns list | grep -qw -- "$ns" || continue
        case $host in
        director) topo_run director bpvs down >/dev/null 2>&1 || : ;;
        rs?) topo_run "$host" bpvs realserver down >/dev/null 2>&1 || : ;;
        esac
        pids=$(ip netns pids "$ns" | xargs)
        if [ -n "$pids" ]; then
            echo "lab: still at work in $ns: $pids" >&2
        fi
        ip netns del "$ns"
    done
    rm -rf "$topo_state"
    rmdir /run/bpvs-lab 2>/dev/null || :
}
