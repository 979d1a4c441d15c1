#!/bin/sh
# Stands for sudo, as far as README.md uses it. Here one user is all of them and root, so that who owns a file stops nobody:
# what is given to the containers' user becomes a mount that is read only, until it is removed.
set -eu
case "$1 $2" in
    "chown 65532")
        shift 2
        for file in "$@"; do
            mount --bind "$file" "$file"
            mount -o remount,bind,ro "$file"
        done
        ;;
    "rm "*)
        shift
        for file in "$@"; do umount "$file" 2> /dev/null || true; done
        rm "$@"
        ;;
    *)
        echo "sudo: not understood: $*" >&2
        exit 1
        ;;
esac
