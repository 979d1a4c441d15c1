#!/bin/sh
# Stands for docker compose, as far as README.md uses it. A container is a process in the image's files, with the variables,
# the volume and the secrets that compose.yaml gives its service; the network is this namespace's. $SCENE holds what the
# test read there. $SCENE/told says what happened.
set -eu

refuse() {
    echo "docker: $*" >&2
    exit 125
}

# The mounts of a container, then its command in place of the shell.
CONTAINER='
set -e
image=$1; shift
mount --bind "$image" "$image"
mount --bind "$SCENE/$SERVICE/volume" "$image/var/lib/pulse"
mount --bind "$SCENE/hosts" "$image/etc/hosts"
mount -t tmpfs secrets "$image/run/secrets"
for secret in $(cat "$SCENE/$SERVICE/secrets"); do
    : > "$image/run/secrets/$secret"
    mount --bind "secrets/$secret" "$image/run/secrets/$secret"
done
mount -o remount,ro "$image/run/secrets"
mount -o remount,bind,ro "$image"
unshare=$(command -v unshare)
exec env -i $(cat "$SCENE/$SERVICE/environment") "$unshare" --user --map-user=65532 --map-group=65532 --root="$image" --wd=/ "$@"
'

# SERVICE COMMAND...: becomes that command in a container of the service.
inside() {
    SERVICE=$1
    export SERVICE
    shift
    exec unshare --mount sh -c "$CONTAINER" sh "$SCENE/image" "$@"
}

runs() { [ -e "$SCENE/$1/pid" ]; }

stop() {
    runs "$1" || return 0
    pid=$(cat "$SCENE/$1/pid")
    kill -TERM "$pid"
    tail --pid="$pid" -f /dev/null
    rm "$SCENE/$1/pid"
    echo "stopped $1" >> "$SCENE/told"
}

# A service that runs on another image than there is now is replaced.
start() {
    built=$(cat "$SCENE/built")
    if runs "$1"; then
        [ "$(cat "$SCENE/$1/built")" != "$built" ] || return 0
        stop "$1"
    fi
    (inside "$1" $(cat "$SCENE/$1/command")) < /dev/null > /dev/null 2>> "$SCENE/$1/log" &
    echo $! > "$SCENE/$1/pid"
    echo "$built" > "$SCENE/$1/built"
    echo "started $1 of build $built" >> "$SCENE/told"
}

# As its health check says, again and again.
healthy() {
    tries=0
    until (inside "$1" $(cat "$SCENE/$1/health")) < /dev/null > /dev/null 2> "$SCENE/$1/health.log"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$(cat "$SCENE/$1/pid")"; then
            cat "$SCENE/$1/log" "$SCENE/$1/health.log" >&2
            refuse "$1 is not healthy"
        fi
        sleep 0.1
    done
}

build() { echo $(($(cat "$SCENE/built" 2> /dev/null || echo 0) + 1)) > "$SCENE/built"; }

[ "$1" = compose ] || refuse "not understood: $*"
verb=$2
shift 2
terminal=yes alone=no wait=no removed=no detached=no
while [ $# -gt 0 ] && [ "$1" != "${1#-}" ]; do
    case "$verb $1" in
        "exec -T" | "run -T") terminal=no ;;
        "run --rm") removed=yes ;;
        "run --no-deps" | "up --no-deps") alone=yes ;;
        "up --detach") detached=yes ;;
        "up --wait") wait=yes ;;
        "up --build") build ;;
        *) refuse "not understood: $verb $1" ;;
    esac
    shift
done
case $verb in
    exec)
        runs "$1" || refuse "service \"$1\" is not running"
        [ "$terminal" = no ] || refuse "a terminal would change what goes through a pipe"
        inside "$@"
        ;;
    run)
        [ "$terminal$alone$removed" = noyesyes ] || refuse "run starts more than one process, or leaves something"
        echo "ran $1" >> "$SCENE/told"
        inside "$@"
        ;;
    build) build ;;
    stop) for service in "$@"; do stop "$service"; done ;;
    restart)
        [ $# -gt 0 ] || set -- registry collector
        for service in "$@"; do
            stop "$service"
            start "$service"
        done
        ;;
    up)
        [ "$detached" = yes ] || refuse "up would not end"
        [ $# -gt 0 ] || set -- registry collector
        # The collector waits for a healthy registry.
        if [ "$alone" = no ] && [ "$1" = collector ]; then set -- registry collector; fi
        for service in "$@"; do
            start "$service"
            if [ "$wait" = yes ] || [ $# -gt 1 ]; then healthy "$service"; fi
        done
        ;;
    *) refuse "not understood: $verb" ;;
esac
