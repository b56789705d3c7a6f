using Magasin;

return await Boutique.RunAsync(args, Console.Error);
