// npm socket.io with its default engine (ws), as its documentation advises for many clients: without compression, and without the first HTTP request.
//   node socketio.js PORT
import { createServer } from "node:http";
import { Server } from "socket.io";

const server = createServer();
const io = new Server(server, { serveClient: false });
io.on("connection", (socket) => {
  socket.conn.request = null;
  socket.on("join", (room, answer) => {
    socket.join(room);
    answer();
  });
  socket.on("pub", (room, payload) => io.to(room).emit("msg", payload));
  socket.on("echo", (payload, answer) => answer(payload));
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
