#!/usr/bin/env bash
# Brings up a one-node Kubernetes cluster from plain binaries, right on this machine, and prints the path of its
# kubeconfig:
#
#   export KUBECONFIG=$(./up.sh)
#
# Run again, it starts only what is missing. down.sh takes everything away.
set -Eeuo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
trap 'log "up.sh: line $LINENO failed: $BASH_COMMAND"' ERR

# routed_cidr is the Services' and the load balancer's addresses together.
service_cidr=10.96.0.0/16 lb_cidr=10.97.0.0/16 routed_cidr=10.96.0.0/15
api_ip=10.96.0.1 dns_ip=10.96.0.10 # dns_ip is also in coredns.yaml
pod_cidr=10.244.0.0/24 node_ip=10.244.0.1
node=node1

need_root
[ ${#CLUSTER_DIR} -le 60 ] || die "CLUSTER_DIR is too long for the Unix sockets below it: $CLUSTER_DIR"
if [ ! -e "$CLUSTER_DIR/.cluster" ] && [ -n "$(ls -A "$CLUSTER_DIR" 2>/dev/null)" ]; then
  die "$CLUSTER_DIR is not empty and not a cluster's: choose another CLUSTER_DIR"
fi
lock

kubectl() { "$bin/kubectl" --kubeconfig "$CLUSTER_DIR/admin.kubeconfig" "$@"; }

# fail DAEMON MESSAGE: shows what the daemon said last, and gives up.
fail() {
  log "--- the last lines of $CLUSTER_DIR/log/$1.log:"
  tail -n 20 "$CLUSTER_DIR/log/$1.log" >&2 || true
  if kubectl get --raw /readyz >/dev/null 2>&1; then
    log "--- the pods, and the last events:"
    { kubectl get pods -A -o wide && kubectl get events -A | tail -n 20; } >&2 || true
    kubectl -n kube-system logs deployment/coredns --tail=5 >&2 || true
  fi
  log "---"
  die "$2 (./down.sh clears up)"
}

# start DAEMON COMMAND...: in a session of its own, so that it outlives this script, and without the lock.
start() {
  local name=$1
  shift
  ! alive "$name" || return 0
  setsid "$@" </dev/null >"$CLUSTER_DIR/log/$name.log" 2>&1 9<&- &
  echo "$! $(start_time $!)" >"$CLUSTER_DIR/pid/$name"
}

# wait_for SECONDS DAEMON WHAT COMMAND...: until the command succeeds.
wait_for() {
  local limit=$1 daemon=$2 what=$3 end=$((SECONDS + $1))
  shift 3
  until "$@" >/dev/null 2>&1; do
    alive "$daemon" || fail "$daemon" "$daemon has exited; $what did not come up"
    [ $SECONDS -lt $end ] || fail "$daemon" "$what did not come up within $limit s"
    sleep 0.2
  done
  log "$what: up after $((SECONDS - begin)) s"
}

### What it needs: rights, a kernel, Debian packages, binaries, free ports

"$here/check.sh" || exit
with_heartbeat "building Kubernetes" "$here/build.sh" >/dev/null || exit
# Needed up to here; the API server would use it for webhooks.
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
begin=$SECONDS

check_ports() { # DAEMON PORT...: nobody else has them
  local daemon=$1 port
  shift
  ! alive "$daemon" || return 0
  for port; do
    [ -z "$(ss -Hltn "sport = :$port")" ] ||
      die "port $port, which $daemon needs, is taken: $(ss -Hltnp "sport = :$port" | grep -o 'users:.*' || true)"
  done
}
check_ports etcd 2379 2380
check_ports apiserver 6443
check_ports controller-manager 10257
check_ports scheduler 10259
check_ports kubelet 10248 10250
check_ports kube-proxy 10249 10256

mkdir -p "$CLUSTER_DIR"/{pid,log,pki,cni}
touch "$CLUSTER_DIR/.cluster" # down.sh deletes no folder without this mark
cd "$CLUSTER_DIR"

### Kernel settings and the network

# The first two are ours, the others the kubelet's. down.sh puts them back.
if [ ! -e sysctl.saved ]; then
  for key in net/ipv4/ip_forward net/bridge/bridge-nf-call-iptables \
    vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    echo "$key $(cat /proc/sys/$key)"
  done >sysctl.saved
fi
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables

# The bridge comes before the first pod because its address is the node's. The route keeps Service addresses on this
# machine: kube-proxy redirects those that are in use, and without the route the rest would go out to the real network.
ip link show cni0 >/dev/null 2>&1 || ip link add cni0 type bridge
ip addr replace $node_ip/24 dev cni0
ip link set cni0 up
ip route replace $routed_cidr dev cni0

# Masquerading is done here and not by the CNI plugin (and the kubelet is told to keep its hands off, below) so that no
# iptables rules are left to pick out.
nft -f - <<EOF
table ip dynamic-mcp-cluster
delete table ip dynamic-mcp-cluster
table ip dynamic-mcp-cluster {
  chain postrouting {
    type nat hook postrouting priority srcnat
    ip saddr $pod_cidr ip daddr != $pod_cidr masquerade
  }
}
EOF
mkdir -p cni/net.d
cat >cni/net.d/bridge.conflist <<EOF
{"cniVersion": "0.4.0", "name": "dynamic-mcp-cluster", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
  "ipam": {
    "type": "host-local", "dataDir": "$CLUSTER_DIR/cni/ipam",
    "ranges": [[{"subnet": "$pod_cidr", "rangeStart": "10.244.0.10"}]],
    "routes": [{"dst": "0.0.0.0/0"}]
  }
}]}
EOF

### Keys, certificates and kubeconfigs

ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
[ -e pki/ca.crt ] || openssl req -x509 "${ec[@]}" -days 365 -subj /CN=cluster-ca \
  -keyout pki/ca.key -out pki/ca.crt 2>/dev/null
[ -e pki/sa.key ] || openssl ecparam -genkey -noout -name prime256v1 -out pki/sa.key # "EC PRIVATE KEY", not PKCS #8

cert() { # NAME SUBJECT [SUBJECT-ALT-NAMES]
  [ ! -e "pki/$1.crt" ] || return 0
  openssl req -x509 "${ec[@]}" -days 365 -subj "$2" -CA pki/ca.crt -CAkey pki/ca.key \
    -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=clientAuth,serverAuth \
    ${3:+-addext "subjectAltName=$3"} -keyout "pki/$1.key" -out "pki/$1.crt" 2>/dev/null
}
kubeconfig() { # NAME: from the certificate of the same name
  (umask 077 && cat >"$1.kubeconfig") <<EOF
apiVersion: v1
kind: Config
current-context: cluster
contexts: [{name: cluster, context: {cluster: cluster, user: $1}}]
clusters:
- name: cluster
  cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 pki/ca.crt)}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 "pki/$1.crt"), client-key-data: $(base64 -w0 "pki/$1.key")}
EOF
}
cert apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,\
DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$node_ip,IP:$api_ip"
cert admin /O=system:masters/CN=admin
cert controller-manager /CN=system:kube-controller-manager
cert scheduler /CN=system:kube-scheduler
cert kubelet "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:$node_ip"
cert kube-proxy /CN=system:kube-proxy
for name in admin controller-manager scheduler kubelet kube-proxy; do kubeconfig $name; done

### etcd and the API server; containerd meanwhile

start etcd "$bin/etcd" --data-dir etcd --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380

# The node's name is in no DNS, so the API server has to call the kubelet by its address (kubectl logs, exec and
# port-forward).
start apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
  --secure-port=6443 --advertise-address=$node_ip --service-cluster-ip-range=$service_cidr \
  --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file=pki/sa.key --service-account-signing-key-file=pki/sa.key \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged \
  --kubelet-client-certificate=pki/admin.crt --kubelet-client-key=pki/admin.key \
  --kubelet-certificate-authority=pki/ca.crt --kubelet-preferred-address-types=InternalIP

# restrict_oom_score_adj: without CAP_SYS_RESOURCE (as in many sandboxes) no process may make itself a less likely
# victim than its parent. netns_mounts_under_state_dir, Root, path: or state ends up outside of CLUSTER_DIR.
# enable_unprivileged_ports: what Docker does, so images rely on it.
cat >containerd.toml <<EOF
version = 2
root = "$CLUSTER_DIR/containerd/root"
state = "$CLUSTER_DIR/containerd/state"
[grpc]
  address = "$sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$CLUSTER_DIR/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  enable_unprivileged_ports = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$CLUSTER_DIR/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "$CLUSTER_DIR/containerd/runc"
      SystemdCgroup = false
EOF
start containerd containerd --config containerd.toml

wait_for 30 containerd containerd ctr -a "$sock" version
for image in pause coredns; do
  ctr -a "$sock" -n k8s.io images ls -q | grep -qx "localhost/$image:1" ||
    "$here/load-image.sh" "localhost/$image:1" "$bin/$image" >/dev/null
done
wait_for 60 apiserver "API server" kubectl get --raw /readyz

### The rest of the control plane, and the node

# kube-api-*: with the defaults it holds itself back for 5 s while starting. node-monitor-grace-period: while the API
# server is away the node can't say that it is well, and when it is back no pod should be called unready for that.
start controller-manager "$bin/kube-controller-manager" --kubeconfig=controller-manager.kubeconfig \
  --leader-elect=false --use-service-account-credentials \
  --service-account-private-key-file=pki/sa.key --root-ca-file=pki/ca.crt \
  --cluster-signing-cert-file=pki/ca.crt --cluster-signing-key-file=pki/ca.key \
  --kube-api-qps=200 --kube-api-burst=400 --node-monitor-grace-period=10m \
  --flex-volume-plugin-dir="$CLUSTER_DIR/kubelet/volume-plugins"
start scheduler "$bin/kube-scheduler" --kubeconfig=scheduler.kubeconfig --leader-elect=false

# No image is ever thrown away (imageGC): it could not be pulled again. failCgroupV1: cgroup v1 still works, it is only
# no longer wanted. oomScoreAdj: see containerd's restrict_oom_score_adj.
cat >kubelet.yaml <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $node_ip
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $CLUSTER_DIR/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $CLUSTER_DIR/pki/kubelet.crt
tlsPrivateKeyFile: $CLUSTER_DIR/pki/kubelet.key
clusterDNS: [$dns_ip]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://$sock
podLogsDir: $CLUSTER_DIR/log/pods
volumePluginDir: $CLUSTER_DIR/kubelet/volume-plugins
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
oomScoreAdj: 0
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
EOF
start kubelet "$bin/kubelet" --config=kubelet.yaml --kubeconfig=kubelet.kubeconfig \
  --root-dir="$CLUSTER_DIR/kubelet" --hostname-override=$node --node-ip=$node_ip

# conntrack-*=0: leave the kernel's connection tracking limits as they are.
start kube-proxy "$bin/kube-proxy" --kubeconfig=kube-proxy.kubeconfig --hostname-override=$node \
  --proxy-mode=nftables --cluster-cidr=$pod_cidr --nodeport-addresses=$node_ip/32 --oom-score-adj=0 \
  --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
start lb "$bin/lb" -kubeconfig admin.kubeconfig -range $lb_cidr

kubectl apply -f "$here/coredns.yaml" >/dev/null
wait_for 30 controller-manager "default service account" kubectl get serviceaccount default
wait_for 60 kubelet "node" kubectl wait node/$node --for=condition=Ready --timeout=1s
wait_for 30 kube-proxy "Service network" nft get element ip kube-proxy cluster-ips "{ $dns_ip }"
wait_for 60 kubelet "CoreDNS" kubectl -n kube-system rollout status deployment/coredns --timeout=1s
for name in scheduler lb; do alive $name || fail $name "$name has exited"; done

echo "$CLUSTER_DIR/admin.kubeconfig"
