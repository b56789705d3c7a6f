using Magasin;

await using var app = await Boutique.CreateAsync(args);
await app.RunAsync();
