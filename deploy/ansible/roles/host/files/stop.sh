# Load clients first, so that nobody misses the servers.
lock
service_down baiwan-load 60
service_down baiwan 90
