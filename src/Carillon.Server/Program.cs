using Carillon.Server;
using Carillon.Server.CommandLine;

return await Commands.RunAsync(args, Shell.OfThisProcess(), CancellationToken.None);
