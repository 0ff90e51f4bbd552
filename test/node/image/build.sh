#!/usr/bin/env bash
# Builds the image of the walkthrough's MCP server, node:20-alpine, for clusters whose pods have no network: Node.js, npm
# and server-everything from npm (package-lock.json), C libraries and a shell from Debian. In it the walkthrough's command,
# npx -y @modelcontextprotocol/server-everything, finds the package beside itself. Prints the path of the archive, which
# is kept in the user's cache.
#
# To change a version, edit package.json and run, in this folder:
#
#   npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../../.." && pwd)
name=node:20-alpine

log() { echo "$*" >&2; }
die() {
  log "${0##*/}: $*"
  exit 1
}

for program in npm apt-get dpkg-deb go; do
  command -v "$program" >/dev/null || die "needs $program"
done
arch=$(dpkg --print-architecture)
stamp=$(cat "$here"/* "$repo"/hack/cluster/mkimage/*.go | sha256sum)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dynamic-mcp/images/node-$arch-${stamp:0:16}
archive=$cache/node-20-alpine.tar
mkdir -p "$cache"
exec {lock}<"$cache" && flock "$lock"
if [ -e "$archive" ]; then
  echo "$archive"
  exit
fi

begin=$SECONDS
log "$name: building, once"
work=$(mktemp -d "$cache/.build.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{etc,root,tmp,usr/{bin,lib,lib64},usr/local/{bin,etc,lib/node_modules}} "$work/debian"
# Newer releases have everything below /usr, older ones not yet: with these links both are the same.
for folder in bin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done

# No package needs its install scripts, so none may run one.
cp "$here"/package{,-lock}.json "$root"
(cd "$root" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
rm "$root"/package{,-lock}.json
mv "$root/node_modules/npm" "$root/usr/local/lib/node_modules/"
mv "$root"/node_modules/node-linux-*/bin/node "$root/usr/local/bin/node"
rm -r "$root"/node_modules/node-linux-* "$root/node_modules/.bin"/{node,npm,npx}
for program in npm npx; do
  ln -s "../lib/node_modules/npm/bin/$program-cli.js" "$root/usr/local/bin/$program"
done
printf '%s=false\n' update-notifier audit fund >"$root/usr/local/etc/npmrc"

download() { (cd "$work/debian" && apt-get -qq download libc6 libstdc++6 libgcc-s1 busybox-static >&2); }
download 2>/dev/null || { apt-get -qq update >&2 && download; } || die "can't download packages of Debian"
for package in "$work"/debian/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink
done
rm -r "${root:?}/usr/share"
for program in $("$root/bin/busybox" --list); do
  [ -e "$root/bin/$program" ] || ln -s busybox "$root/bin/$program"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"

# A pod would not say why a program does not start.
[ "$(id -u)" != 0 ] || env -i "PATH=$PATH:/usr/sbin" chroot "$root" /usr/local/bin/npx --version >/dev/null || die "npx does not run in the image"

(cd "$repo" && go run ./hack/cluster/mkimage -arch "$arch" -env HOME=/root "$name" "$root") >"$work/image.tar"
mv "$work/image.tar" "$archive"
log "$name: built in $((SECONDS - begin)) s, $(du -h "$archive" | cut -f1)"
echo "$archive"
