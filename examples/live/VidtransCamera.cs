// What a Unity camera renders (labels, depth, or the scene itself), painted by a running `vidtrans live`.
//
// Not run by vidtrans' tests, which have no Unity: they check the byte layout of its messages only. Written for Unity
// 2021.3 or later. The messages are described in vidtrans/live/protocol.py.
//
// 1. vidtrans live --model MODEL        prints a link, http://127.0.0.1:8765/?token=...
// 2. Put this script on a game object. Paste the link; set Source (the camera that renders what the model is to see)
//    and Screen (a RawImage of a canvas) or Surface (a Renderer, whose main texture becomes the picture).
// 3. Play. For label maps of flat colours choose Drawing: PNG, without anti-aliasing, in the colours of the model.
//
// At most two frames are on their way: a frame is read back only when another may be sent, so it is always the newest.

using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Unity.Collections;
using UnityEngine;
using UnityEngine.Experimental.Rendering;
using UnityEngine.Rendering;
using UnityEngine.UI;

public class VidtransCamera : MonoBehaviour
{
    const int Version = 1;
    const int FrameHeader = 16;
    const int PictureHeader = 32;
    const int KindPicture = 1;
    const int KindDrawing = 2;
    const int Painted = 1;
    const int Repeated = 2;
    const int Dropped = 3;
    const int MostUnderway = 2;
    const float LostAfterSeconds = 20f; // a frame of which nothing was heard for so long
    const float ReconnectSeconds = 2f;

    public enum FrameKind { Picture = KindPicture, Drawing = KindDrawing }

    [Tooltip("The link that vidtrans live has printed, with its token")]
    public string link = "http://127.0.0.1:8765/?token=";
    public Camera source;
    public FrameKind kind = FrameKind.Picture;
    [Tooltip("Size of the frames, read when this is enabled; the short side that the model was trained at is enough")]
    public int width = 454;
    public int height = 256;
    [Range(1, 100)] public int jpegQuality = 90;
    [Tooltip("Where the model's picture comes out upside down: graphics interfaces differ")]
    public bool flip = false;
    public RawImage screen;
    public Renderer surface;

    [Serializable]
    class Message
    {
        public string type = "";
        public int you = 0;
        public string text = "";
        public string by = "";
    }

    readonly Dictionary<uint, float> underway = new Dictionary<uint, float>(); // when each frame was sent
    CancellationTokenSource ending;
    ClientWebSocket socket;
    RenderTexture target;
    Texture2D picture;
    uint number; // of this connection; 0: none
    uint sequence;
    bool isReading; // a frame is on its way from the GPU
    bool isSending;

    void OnEnable()
    {
        // sRGB: the file holds colours as they are seen.
        target = new RenderTexture(width, height, 24, GraphicsFormat.R8G8B8A8_SRGB);
        picture = new Texture2D(2, 2, TextureFormat.RGB24, false);
        source.targetTexture = target;
        if (screen != null) screen.texture = picture;
        if (surface != null) surface.material.mainTexture = picture;
        ending = new CancellationTokenSource();
        _ = Run(ending.Token);
    }

    void OnDisable()
    {
        number = 0; // nothing is sent from here on
        ending.Cancel();
        AsyncGPUReadback.WaitAllRequests();
        ending.Dispose();
        source.targetTexture = null;
        target.Release();
        Destroy(target);
        Destroy(picture);
    }

    // Connect, receive until the connection ends, and connect again. What follows an await is on the main thread.
    async Task Run(CancellationToken token)
    {
        while (!token.IsCancellationRequested)
        {
            try
            {
                using (var opened = new ClientWebSocket())
                {
                    await opened.ConnectAsync(Address(), token);
                    socket = opened;
                    await Receive(opened, token);
                }
            }
            catch (OperationCanceledException) { }
            catch (Exception error)
            {
                Debug.LogWarning($"vidtrans live: {error.Message}");
            }
            socket = null;
            number = 0;
            underway.Clear();
            try { await Task.Delay(TimeSpan.FromSeconds(ReconnectSeconds), token); }
            catch (OperationCanceledException) { }
        }
    }

    Uri Address()
    {
        var page = new Uri(link);
        string scheme = page.Scheme == "https" ? "wss" : "ws";
        return new Uri($"{scheme}://{page.Authority}/ws{page.Query}&role=program");
    }

    async Task Receive(ClientWebSocket opened, CancellationToken token)
    {
        var part = new byte[1 << 16];
        var message = new MemoryStream();
        while (true)
        {
            message.SetLength(0);
            WebSocketReceiveResult result;
            do
            {
                result = await opened.ReceiveAsync(new ArraySegment<byte>(part), token);
                if (result.MessageType == WebSocketMessageType.Close) return;
                message.Write(part, 0, result.Count);
            } while (!result.EndOfMessage);
            byte[] data = message.ToArray();
            if (result.MessageType == WebSocketMessageType.Text) Take(Encoding.UTF8.GetString(data));
            else if (data.Length >= PictureHeader && data[0] == Version) Take(data);
        }
    }

    void Take(string text)
    {
        var message = JsonUtility.FromJson<Message>(text);
        if (message.type == "hello") number = (uint)message.you;
        else if (message.type == "problem") Debug.LogWarning($"vidtrans live: {message.text}");
        else if (message.type == "replaced") Debug.LogWarning($"vidtrans live: another source is painted now: {message.by}");
    }

    void Take(byte[] data)
    {
        int answer = data[1];
        uint frame = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(4));
        uint sender = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(16));
        int skipped = (int)BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(28)); // what the network sees: not asked for
        if (sender == number) underway.Remove(frame);
        if (answer != Painted && answer != Repeated) return; // Dropped: nothing to show
        picture.LoadImage(data.AsSpan(PictureHeader + skipped).ToArray());
    }

    void LateUpdate()
    {
        var lost = new List<uint>();
        foreach (var sent in underway) if (Time.unscaledTime - sent.Value > LostAfterSeconds) lost.Add(sent.Key);
        foreach (uint frame in lost) underway.Remove(frame);
        if (number == 0 || isReading || isSending || underway.Count >= MostUnderway) return;
        isReading = true;
        AsyncGPUReadback.Request(target, 0, OnRead);
    }

    void OnRead(AsyncGPUReadbackRequest request)
    {
        isReading = false;
        if (request.hasError || socket == null || number == 0) return;
        byte[] file = Encode(request.GetData<byte>());
        sequence += 1;
        var frame = new byte[FrameHeader + file.Length];
        frame[0] = Version;
        frame[1] = (byte)kind;
        BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(2), 0);
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(4), sequence);
        double milliseconds = 1000.0 * Time.unscaledTimeAsDouble; // comes back as it is
        BinaryPrimitives.WriteInt64LittleEndian(frame.AsSpan(8), BitConverter.DoubleToInt64Bits(milliseconds));
        file.CopyTo(frame, FrameHeader);
        _ = Send(frame);
    }

    byte[] Encode(NativeArray<byte> read)
    {
        const GraphicsFormat format = GraphicsFormat.R8G8B8A8_SRGB;
        int width = target.width, height = target.height, stride = 4 * width;
        var pixels = new byte[stride * height];
        for (int row = 0; row < height; row += 1)
            NativeArray<byte>.Copy(read, stride * (flip ? height - 1 - row : row), pixels, stride * row, stride);
        for (int at = 3; at < pixels.Length; at += 4) pixels[at] = 255; // what is transparent would become white
        return kind == FrameKind.Drawing
            ? ImageConversion.EncodeArrayToPNG(pixels, format, (uint)width, (uint)height)
            : ImageConversion.EncodeArrayToJPG(pixels, format, (uint)width, (uint)height, 0, jpegQuality);
    }

    // One send at a time: a ClientWebSocket allows no more.
    async Task Send(byte[] frame)
    {
        isSending = true;
        underway[sequence] = Time.unscaledTime;
        try
        {
            await socket.SendAsync(new ArraySegment<byte>(frame), WebSocketMessageType.Binary, true, ending.Token);
        }
        catch (Exception error) when (!(error is OperationCanceledException))
        {
            Debug.LogWarning($"vidtrans live: {error.Message}"); // the receiver notices as well, and connects again
        }
        catch (OperationCanceledException) { }
        finally
        {
            isSending = false;
        }
    }
}
