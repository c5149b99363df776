#!/bin/sh
# Ray on two machines that see the folder /shared: run the first lines on one, the second on the other, the third on either.
set -eu
case "${1:-}" in
head)
	ray start --head --port=6379 --disable-usage-stats
	;;
worker)
	# The head's address; ~/.ray/auth_token has to be that of the head.
	RAY_AUTH_MODE=token ray start --address="$2:6379" --disable-usage-stats
	;;
render)
	cd /shared
	vidtrans stylize clips/ --model look -o renders/ --executor ray
	;;
stop)
	ray stop
	;;
*)
	echo "usage: $0 head | worker HEAD | render | stop" >&2
	exit 2
	;;
esac
