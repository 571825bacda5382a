// Every `pub` goes to everybody else as `msg`. Usage: node socketio.mjs PORT
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
io.on("connection", (socket) => {
  socket.on("pub", (text) => socket.broadcast.emit("msg", text));
});
http.listen(Number(process.argv[2]), "127.0.0.1");
