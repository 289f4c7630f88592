"""
A real seeder: libtorrent seeds FILE. Arguments: addresses (with commas between), port, payload file, torrent file to write, JSON options
{"trackers": [...], "webSeeds": [...], "bytesPerSecond": n, "dht": bool}.
"""
import json
import sys
import time
import libtorrent as lt

addresses, port, payload, torrent_file, options = sys.argv[1:]
options = json.loads(options)
folder, name = payload.rsplit("/", 1)
storage = lt.file_storage()
lt.add_files(storage, payload)
made = lt.create_torrent(storage, 256 * 1024, lt.create_torrent.v1_only)
for tracker in options.get("trackers", []):
    made.add_tracker(tracker)
for url in options.get("webSeeds", []):
    made.add_url_seed(url)
lt.set_piece_hashes(made, folder)
entry = made.generate()
with open(torrent_file, "wb") as file:
    file.write(lt.bencode(entry))
info = lt.torrent_info(torrent_file)
print("infohash", str(info.info_hash()), flush=True)
session = lt.session({
    "listen_interfaces": ",".join(
        f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in addresses.split(",")
    ),
    "enable_dht": options.get("dht", False), "dht_bootstrap_nodes": "",
    "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": False, "enable_incoming_utp": False,
    # One of them may be a trap.
    "announce_to_all_trackers": True,
    # A client that was killed comes back while its former connection still stands.
    "allow_multiple_connections_per_ip": True,
    "upload_rate_limit": options.get("bytesPerSecond", 0),
    "alert_mask": lt.alert.category_t.all_categories,
})
# Given by the caller on standard input, so that the tracker may be told the infohash first.
sys.stdin.readline()
handle = session.add_torrent({"ti": info, "save_path": folder, "flags": lt.torrent_flags.seed_mode})
print("ready", flush=True)
while True:
    session.pop_alerts()
    time.sleep(0.5)
