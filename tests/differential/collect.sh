# What a playbook left on a host, one thing a line, in an order that is always the same. Read by `sh -s`.
export LC_ALL=C
cd /srv/differential
find . /etc/systemd/system/teller.service /etc/cron.d /home/teller -printf '%p %y %m %u %g %l\n' | sort
for file in $(find . -type f -not -path './registered/*' | sort); do sed "s|^|$file: |" "$file"; echo "$file ends with $(tail -c 1 "$file" | od -An -tx1)"; done
grep -E '^(teller|robot|tellers|daemon|users):' /etc/passwd /etc/group /etc/shadow | sed -E 's/:[0-9]{5}:/:DAY:/'
systemctl show -p ActiveState,UnitFileState,ExecMainStartTimestampMonotonic teller | sed 's/Monotonic=[1-9].*/Monotonic=started/'
dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' | sort
git -C /srv/sources/clone remote -v
git -C /srv/sources/clone rev-parse HEAD
debconf-show tzdata | grep Areas
dpkg --get-selections adduser
crontab -u teller -l | sed 's|^|crontab teller: |'
sed 's|^|cron.d: |' /etc/cron.d/differential
