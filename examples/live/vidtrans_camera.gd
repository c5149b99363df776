# What a SubViewport of Godot 4 renders (labels, depth, or the scene itself), painted by a running `vidtrans live`.
#
# Not run by vidtrans' tests, which have no Godot: they check the byte layout of its messages only. Written for Godot 4.2
# or later. The messages are described in vidtrans/live/protocol.py.
#
# 1. vidtrans live --model MODEL        prints a link, http://127.0.0.1:8765/?token=...
# 2. Put this script on a TextureRect, which shows the picture. Paste the link; set Source to a SubViewport whose update
#    mode is Always, and whose size is what the model was trained at, say 454x256.
# 3. Run. For label maps of flat colours turn Is Drawing on: PNG, without anti-aliasing, in the colours of the model.
#
# At most two frames are on their way: a frame is read back only when another may be sent, so it is always the newest.
extends TextureRect

const VERSION := 1
const FRAME_HEADER := 16
const PICTURE_HEADER := 32
const KIND_PICTURE := 1
const KIND_DRAWING := 2
const PAINTED := 1
const REPEATED := 2
const DROPPED := 3
const MOST_UNDERWAY := 2
const MAX_MESSAGE := 8388608 # bytes
const LOST_AFTER_MS := 20000 # a frame of which nothing was heard for so long
const RECONNECT_MS := 2000

@export var link := "http://127.0.0.1:8765/?token="
@export var source: SubViewport
@export var is_drawing := false
@export_range(0.0, 1.0) var jpeg_quality := 0.9

var _socket: WebSocketPeer
var _number := 0 # of this connection; 0: none
var _sequence := 0
var _underway := {} # when each frame was sent, by its number
var _next_try := 0


func _process(_delta: float) -> void:
	var now := Time.get_ticks_msec()
	if _socket == null:
		if now >= _next_try:
			_connect()
		return
	_socket.poll()
	match _socket.get_ready_state():
		WebSocketPeer.STATE_OPEN:
			while _socket.get_available_packet_count() > 0:
				var data := _socket.get_packet()
				if _socket.was_string_packet():
					_take_message(data.get_string_from_utf8())
				elif data.size() >= PICTURE_HEADER and data.decode_u8(0) == VERSION:
					_take_picture(data)
			for frame in _underway.keys():
				if now - _underway[frame] > LOST_AFTER_MS:
					_underway.erase(frame)
			if _number > 0 and _underway.size() < MOST_UNDERWAY:
				_send(now)
		WebSocketPeer.STATE_CLOSED:
			push_warning("vidtrans live: no connection; trying again")
			_socket = null
			_number = 0
			_underway.clear()
			_next_try = now + RECONNECT_MS


func _connect() -> void:
	_socket = WebSocketPeer.new()
	_socket.inbound_buffer_size = MAX_MESSAGE
	_socket.outbound_buffer_size = MAX_MESSAGE
	var address := "ws" + link.trim_prefix("http").replace("/?", "/ws?") + "&role=program"
	if _socket.connect_to_url(address) != OK:
		_socket = null
		_next_try = Time.get_ticks_msec() + RECONNECT_MS


func _take_message(text: String) -> void:
	var message: Variant = JSON.parse_string(text)
	if not message is Dictionary:
		return
	match message.get("type"):
		"hello":
			_number = int(message["you"])
		"problem":
			push_warning("vidtrans live: %s" % message["text"])
		"replaced":
			push_warning("vidtrans live: another source is painted now: %s" % message["by"])


func _take_picture(data: PackedByteArray) -> void:
	var answer := data.decode_u8(1)
	var frame := data.decode_u32(4)
	var sender := data.decode_u32(16)
	var skipped := data.decode_u32(28) # what the network sees: not asked for
	if sender == _number:
		_underway.erase(frame)
	if answer != PAINTED and answer != REPEATED: # DROPPED: nothing to show
		return
	var image := Image.new()
	if image.load_jpg_from_buffer(data.slice(PICTURE_HEADER + skipped)) != OK:
		return
	var shown := texture as ImageTexture
	if shown != null and shown.get_size() == Vector2(image.get_size()):
		shown.update(image)
	else:
		texture = ImageTexture.create_from_image(image)


func _send(now: int) -> void:
	var image := source.get_texture().get_image()
	if image == null or image.is_empty():
		return
	image.convert(Image.FORMAT_RGB8)
	var file := image.save_png_to_buffer() if is_drawing else image.save_jpg_to_buffer(jpeg_quality)
	_sequence = (_sequence + 1) & 0xffffffff
	var message := PackedByteArray()
	message.resize(FRAME_HEADER)
	message.encode_u8(0, VERSION)
	message.encode_u8(1, KIND_DRAWING if is_drawing else KIND_PICTURE)
	message.encode_u16(2, 0)
	message.encode_u32(4, _sequence)
	message.encode_double(8, float(now)) # milliseconds of this program; comes back as it is
	message.append_array(file)
	if _socket.send(message, WebSocketPeer.WRITE_MODE_BINARY) == OK:
		_underway[_sequence] = now
