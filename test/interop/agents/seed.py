"""A real seeder: libtorrent seeds FILE inside the tunnel. Arguments: address, port, payload file, torrent file to write, tracker URL..."""
import sys
import time
import libtorrent as lt

address, port, payload, torrent_file, *trackers = sys.argv[1:]
folder, name = payload.rsplit("/", 1)
storage = lt.file_storage()
lt.add_files(storage, payload)
made = lt.create_torrent(storage, 256 * 1024, lt.create_torrent.v1_only)
for tracker in trackers:
    made.add_tracker(tracker)
lt.set_piece_hashes(made, folder)
entry = made.generate()
with open(torrent_file, "wb") as file:
    file.write(lt.bencode(entry))
info = lt.torrent_info(torrent_file)
print("infohash", str(info.info_hash()), flush=True)
session = lt.session({
    "listen_interfaces": f"{address}:{port}",
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": False, "enable_incoming_utp": False,
    "alert_mask": lt.alert.category_t.all_categories,
})
# Given by the caller on standard input, so that the tracker may be told the infohash first.
sys.stdin.readline()
handle = session.add_torrent({"ti": info, "save_path": folder, "flags": lt.torrent_flags.seed_mode})
print("ready", flush=True)
while True:
    session.pop_alerts()
    time.sleep(0.5)
