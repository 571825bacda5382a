// Every message goes to everybody else. Usage: node ws.mjs PORT
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", (data) => {
    for (const other of server.clients) {
      if (other !== socket) {
        other.send(data, { binary: false });
      }
    }
  });
});
