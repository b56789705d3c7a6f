using Magasin;

return await ShopServer.RunAsync(args, Console.Error);
