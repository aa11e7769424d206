#!/usr/bin/env bash
# machine.sh CHECKOUT, as root: boots systemd on a copy of this machine, prints its process id, runs until it is ended.
#
# The copy is a layer in memory over the disk, with process ids and control groups of its own: accounts, files and
# processes that a test makes there end with it, and nothing of them reaches this machine. The network is shared.
# Of the checkout it has the environment and the library, read-only, where whoever has an account can read them.
set -euo pipefail
checkout=$(realpath "$1")
[[ $checkout/ != /tmp/* ]] || { echo "clone the course elsewhere: everybody's server has a /tmp of its own" >&2; exit 1; }
mapfile -t hierarchies < <(findmnt --raw --noheadings --output TARGET --types cgroup,cgroup2)

if [ "${2-}" != inside ]; then
  groups=("${hierarchies[@]/%//course-hub-test-$$}")
  end() {
    kill -9 "$machine"
    wait "$machine"
    for _ in {1..300}; do # the last processes take a moment to leave
      find "${groups[@]}" -depth -type d -exec rmdir {} +
      [ "$(ls -d "${groups[@]}")" ] || break
      sleep 0.1
    done
  }
  trap 'set +e; end 2>/dev/null' EXIT
  trap exit TERM INT
  (
    for group in "${groups[@]}"; do
      mkdir -p "$group" && echo "$BASHPID" 2>/dev/null >"$group/cgroup.procs" || rmdir "$group"
    done
    exec unshare --mount --cgroup --pid --fork --kill-child --ipc --uts bash "$0" "$checkout" inside >&2
  ) &
  machine=$!
  until init=$(<"/proc/$machine/task/$machine/children") && [ -S "/proc/${init% }/root/run/systemd/private" ]; do
    kill -0 "$machine"
    sleep 0.1
  done
  echo "${init% }"
  wait "$machine"
  exit
fi

hostname course-hub-test
mount -t tmpfs tmpfs /mnt
mkdir /mnt/{changed,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=/mnt/changed,workdir=/mnt/work" /mnt/root
root=/mnt/root
mount --rbind /dev $root/dev
mount -t sysfs -o ro sysfs $root/sys
mount -t proc proc $root/proc
for empty in run tmp srv home; do mount -t tmpfs -o mode=755 tmpfs $root/$empty; done
chmod 1777 $root/tmp

# Every folder on the way to the checkout can be entered, and there is nothing in it but what the class shares.
mkdir -p "$root$checkout"
folder=$checkout
while [ "$folder" != / ]; do
  chmod o+x "$root$folder"
  folder=$(dirname "$folder")
done
mount -t tmpfs -o mode=755 tmpfs "$root$checkout"
for shared in .venv coursekit coursegrade; do
  mkdir "$root$checkout/$shared"
  mount --rbind "$checkout/$shared" "$root$checkout/$shared"
  mount -o remount,bind,ro "$root$checkout/$shared"
done
ln -sfn "$checkout/.venv" $root/opt/course

# Nothing starts by itself that would touch the kernel's settings or this machine's devices.
rm -rf $root/{etc,usr/lib}/systemd/system/*.target.wants
true >$root/etc/fstab
rm -f $root/etc/systemd/system/jupyterhub.service $root/etc/jupyterhub.env
cd $root
pivot_root . mnt # no chroot: in one the kernel allows no namespace of a user's, and so no bubblewrap
umount --lazy /mnt
exec env -i container=course-hub-test PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --unit=basic.target
