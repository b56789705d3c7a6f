using System.Net;
using System.Net.Http.Json;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Magasin.Connections;
using Magasin.Data;
using Magasin.Home;
using Magasin.Sql;
using Microsoft.AspNetCore.Http;

namespace Magasin.Tests;

/// <summary>What strangers, other programs and accidents do to the shop, and what it answers.</summary>
public sealed class GuardedTests
{
    static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Whatever_a_connection_calls_itself_the_shop_stays_open_and_lists_it()
    {
        await using var shop = await Shop.OpenAsync();
        string[] said =
        [
            """{"nom":"\ud800"}""", """{"nom":"\udc00\ud83d"}""", """{"\ud800":"x","nom":"\udfff"}""", """{"nom":{"nom":"x"}}""", """{"nom":7}""", """{"nom":null}""", """{"nom":["x"]}""",
            """{"name":"x"}""", "{}", "", $$"""{"nom":"{{new string('x', 30_000)}}"}""", $$"""{"nom":"{{new string('x', 39)}}😀"}""", """{"nom":"Caisse\u0000\n 3"}""",
        ];
        var members = new List<ClientWebSocket>();
        using var watcher = await ConnectAsync(shop, """{"nom":"Caisse 1"}""");
        await watcher.SendAsync("42[\"subscribe\",\"magasin:connexions\"]"u8.ToArray(), WebSocketMessageType.Text, endOfMessage: true, Ct);
        foreach (var auth in said) members.Add(await ConnectAsync(shop, auth));
        await UntilToldAsync(watcher, said.Length + 1);

        Assert.Equal(HttpStatusCode.OK, (await shop.GetAsync("/api/produits")).Status);
        var (status, list) = await shop.GetAsync("/api/connexions");
        Assert.Equal(HttpStatusCode.OK, status);
        var names = list.GetProperty("items").EnumerateArray().Select(one => one.GetProperty("nom").GetString()!).ToList();
        Assert.Equal(Enumerable.Repeat("?", 10).Concat([new string('x', 40), new string('x', 39), "Caisse 1", "Caisse 3"]).Order(), names.Order());
        Assert.All(list.GetProperty("items").EnumerateArray(), one => Assert.Equal("127.0.0.1", one.GetProperty("adresse").GetString()));

        // The list is still told: one who comes now is seen by the others.
        using var late = await ConnectAsync(shop, """{"nom":"Caisse 4"}""");
        await UntilToldAsync(watcher, said.Length + 2);
        Assert.Equal(said.Length + 2, (await shop.GetAsync("/api/connexions")).Body.GetProperty("items").GetArrayLength());
        members.ForEach(member => member.Dispose());
    }

    [Theory]
    [InlineData("::ffff:192.168.1.7", "192.168.1.7")]
    [InlineData("192.168.1.7", "192.168.1.7")]
    [InlineData("2001:db8::7", "2001:db8::7")]
    [InlineData("::1", "::1")]
    public void An_address_is_written_as_people_know_it(string address, string written) => Assert.Equal(written, ConnectedTills.Written(IPAddress.Parse(address)));

    [Fact]
    public async Task Pages_of_another_site_write_nothing()
    {
        await using var shop = await Shop.OpenAsync("--Magasin:AllowSql", "true");
        var own = shop.Http.BaseAddress!;
        foreach (var origin in new[] { "http://evil.example", "null", $"http://127.0.0.1:{own.Port + 1}", $"http://127.0.0.1.evil.example:{own.Port}", "file://", "" })
        {
            foreach (var (path, body) in new (string, object)[] { ("/api/sql", new { statement = "SELECT 1" }), ("/api/produits", new { nom = "x", prix = 1 }) })
            {
                var (status, problem) = await SendAsync(shop, path, body, ("Origin", origin));
                Assert.Equal((HttpStatusCode.Forbidden, "forbidden"), (status, problem.GetProperty("code").GetString()));
            }
        }

        Assert.Equal(HttpStatusCode.Created, (await SendAsync(shop, "/api/produits", new { nom = "x", prix = 1 }, ("Origin", own.GetLeftPart(UriPartial.Authority)))).Status);
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(shop, "/api/sql", new { statement = "SELECT 1" }, ("Origin", own.GetLeftPart(UriPartial.Authority)))).Status);
    }

    [Fact]
    public async Task Statements_are_not_taken_under_a_name_that_a_stranger_points_here()
    {
        await using var shop = await Shop.OpenAsync("--Magasin:AllowSql", "true");
        foreach (var host in new[] { "evil.example", "localhost.evil.example", "127.0.0.1.evil.example" })
            Assert.Equal(HttpStatusCode.Forbidden, (await SendAsync(shop, "/api/sql", new { statement = "SELECT 1" }, ("Host", host), ("Origin", $"http://{host}"))).Status);
        foreach (var host in new[] { "localhost:8080", "192.168.1.7", "[::1]:80", Dns.GetHostName() })
            Assert.Equal(HttpStatusCode.OK, (await SendAsync(shop, "/api/sql", new { statement = "SELECT 1" }, ("Host", host))).Status);
    }

    [Theory]
    [InlineData("caisse", true)]
    [InlineData("CAISSE.local:8080", true)]
    [InlineData("caisse.example", false)]
    [InlineData("", false)]
    public void A_machine_knows_its_own_name(string host, bool own) => Assert.Equal(own, OriginCheck.NamesThisMachine(new HostString(host), "caisse"));

    [Theory]
    [InlineData("http://shop.example", "shop.example", true)]
    [InlineData("http://shop.example", "shop.example:80", true)]
    [InlineData("https://SHOP.example", "shop.example", true)]
    [InlineData("http://shop.example:8080", "shop.example", false)]
    [InlineData("http://[::1]:8080", "[::1]:8080", true)]
    public void An_origin_is_that_of_the_host_or_of_another(string origin, string host, bool own) => Assert.Equal(own, OriginCheck.IsOwn(origin, new HostString(host)));

    [Fact]
    public async Task A_busy_database_is_unavailable_and_says_so_in_time()
    {
        await using var shop = await Shop.OpenAsync("--Magasin:AllowSql", "true");
        await using var holder = await shop.Db.OpenOwnAsync(Ct);
        await using (var hold = holder.CreateCommand())
        {
            hold.CommandText = "BEGIN IMMEDIATE";
            await hold.ExecuteNonQueryAsync(Ct);
        }

        var begun = TimeProvider.System.GetTimestamp();
        var (status, problem) = await shop.PostAsync("/api/sql", new { statement = "UPDATE produits SET stock = 1" });
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "unavailable"), (status, problem.GetProperty("code").GetString()));
        Assert.InRange(TimeProvider.System.GetElapsedTime(begun).TotalSeconds, 1, 18);
    }

    [Fact]
    public async Task A_shop_whose_database_file_is_gone_is_unavailable()
    {
        var folder = Directory.CreateTempSubdirectory("magasin-");
        await using var shop = await Shop.OpenAsync("--Magasin:Database", Path.Combine(folder.FullName, "shop.db"));
        await shop.NewProductAsync(1);
        foreach (var file in folder.GetFiles()) file.Delete();

        foreach (var ask in new Func<Task<(HttpStatusCode, JsonElement)>>[] { () => shop.GetAsync("/api/ventes"), () => shop.PostAsync("/api/produits", new { nom = "x", prix = 1 }) })
        {
            // Whoever had the file open goes on with it for a moment.
            var (status, problem) = await ask();
            for (var tries = 0; (int)status < 400 && tries < 100; tries++)
            {
                await Task.Delay(100, Ct);
                (status, problem) = await ask();
            }

            Assert.Equal((HttpStatusCode.ServiceUnavailable, "unavailable"), (status, problem.GetProperty("code").GetString()));
            Assert.Contains("restart the shop", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        }

        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_database_that_cannot_be_opened_is_named_in_one_sentence()
    {
        var folder = Directory.CreateTempSubdirectory("magasin-");
        var text = Path.Combine(folder.FullName, "text.db");
        await File.WriteAllTextAsync(text, new string('x', 5000), Ct);
        foreach (var (file, why) in new[] { (text, "not an SQLite database"), (folder.FullName, "no such folder"), (Path.Combine(folder.FullName, "nowhere", "shop.db"), "no such folder") })
        {
            await using var errors = new StringWriter();
            Assert.Equal(1, await ShopServer.RunAsync(["--contentRoot", folder.FullName, "--urls", "http://127.0.0.1:0", "--Magasin:Database", file], errors));
            Assert.Contains($"{file}: ", errors.ToString(), StringComparison.Ordinal);
            Assert.Contains(why, errors.ToString(), StringComparison.Ordinal);
            Assert.Single(errors.ToString().TrimEnd().Split('\n'));
        }

        Assert.Contains("read-only", new DatabaseUnusableException("/x.db", new Microsoft.Data.Sqlite.SqliteException("attempt to write a readonly database", 8)).Message, StringComparison.Ordinal);
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task An_idempotency_key_that_is_too_long_is_refused_and_not_forgotten()
    {
        await using var shop = await Shop.OpenAsync();
        Assert.Equal(HttpStatusCode.BadRequest, (await SendAsync(shop, "/api/produits", new { nom = "x", prix = 1 }, ("Idempotency-Key", new string('k', 201)))).Status);
        Assert.Equal(HttpStatusCode.Created, (await SendAsync(shop, "/api/produits", new { nom = "x", prix = 1 }, ("Idempotency-Key", new string('k', 200)))).Status);
    }

    [Theory]
    [InlineData("9999-12-31")]
    [InlineData("0001-01-01")]
    [InlineData("2026-02-30")]
    public async Task A_day_that_no_clock_shows_is_refused(string day)
    {
        await using var shop = await Shop.OpenAsync();
        Assert.Equal(HttpStatusCode.BadRequest, (await shop.GetAsync($"/api/ventes?jour={day}")).Status);
    }

    [Theory]
    [InlineData("produits", "", "The body must be a JSON object.")]
    [InlineData("ventes", "null", "The body must be a JSON object.")]
    [InlineData("clients", "[]", "The body must be a JSON object.")]
    [InlineData("produits", """{"nom":"x","prix":"y"}""", "The body cannot be understood at $.prix.")]
    [InlineData("produits", """{"nom":"\ud800","prix":1}""", "The body cannot be understood at $.nom.")]
    [InlineData("produits", """{"nom":"a\u0000b","prix":1}""", "nom may hold no control characters.")]
    [InlineData("clients", """{"nom":"a\nb"}""", "nom and telephone may hold no control characters.")]
    [InlineData("clients", """{"nom":"a","telephone":"\u001b[0m"}""", "nom and telephone may hold no control characters.")]
    public async Task A_body_is_refused_in_words_of_the_shop(string list, string body, string why)
    {
        await using var shop = await Shop.OpenAsync();
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        var (status, problem) = await Shop.ReadAsync(await shop.Http.PostAsync($"/api/{list}", content, Ct));
        Assert.Equal((HttpStatusCode.BadRequest, why), (status, problem.GetProperty("detail").GetString()));
    }

    [Theory]
    [InlineData("INSERT INTO clients VALUES (1, 'Jeanne ''J'' Morel', '06')", "INSERT INTO clients …")]
    [InlineData("insert or replace into main.clients VALUES (0612345678)", "INSERT OR REPLACE INTO clients …")]
    [InlineData("UPDATE clients SET telephone = 0612345678 -- Jeanne", "UPDATE clients …")]
    [InlineData("-- Jeanne's\n/* Morel */ DELETE FROM clients WHERE id = 7", "DELETE FROM clients …")]
    [InlineData("SELECT 'secret FROM x', 0612 FROM clients", "SELECT clients …")]
    [InlineData("SELECT 0612345678", "SELECT …")]
    [InlineData("UPDATE \"Jeanne Morel\" SET x = 1", "UPDATE …")]
    [InlineData("SELECT\n 'unended", "SELECT …")]
    [InlineData("Jeanne Morel 06", "a statement")]
    [InlineData("PRAGMA key = 'x'", "PRAGMA …")]
    [InlineData("/* Jeanne", "a statement")]
    public void The_log_tells_what_a_statement_does_and_to_which_table(string statement, string told) => Assert.Equal(told, SqlApi.Told(statement));

    [Fact]
    public async Task The_console_says_whether_statements_are_allowed_and_names_the_switch()
    {
        await using var open = await Shop.OpenAsync("--Magasin:AllowSql", "true");
        Assert.Contains("Anyone on this network can run SQL here, because Magasin:AllowSql is true.", open.Printed(), StringComparison.Ordinal);
        await using var closed = await Shop.OpenAsync("--environment", "Development");
        Assert.Contains("SQL from the page Synchro is off. --Magasin:AllowSql true turns it on", closed.Printed(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(39, "😀", 39)]
    [InlineData(38, "😀", 40)]
    public void A_long_name_of_a_till_is_cut_between_letters(int letters, string last, int length) =>
        Assert.Equal(length, Till.Read(Uri.EscapeDataString(new string('x', letters) + last))!.Length);

    [Fact]
    public void Before_today_the_shop_sold_nothing_on_a_sunday()
    {
        var (ventes, _) = SeedData.Ventes(TimeProvider.System);
        var today = TimeProvider.System.GetLocalNow().Date;
        Assert.DoesNotContain(ventes.Select(vente => DateTimeOffset.Parse(vente.CreeLe, System.Globalization.CultureInfo.InvariantCulture).LocalDateTime), at => at.DayOfWeek == DayOfWeek.Sunday && at.Date < today);
    }

    static async Task<(HttpStatusCode Status, JsonElement Body)> SendAsync(Shop shop, string path, object body, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = JsonContent.Create(body) };
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        return await Shop.ReadAsync(await shop.Http.SendAsync(request, Ct));
    }

    // As socket.io-client does: opens, asks for the root namespace with its auth, and is let in.
    // Reads on until the list of those who are connected has so many.
    static async Task UntilToldAsync(ClientWebSocket watcher, int count)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        deadline.CancelAfter(TimeSpan.FromSeconds(10));
        var buffer = new byte[64 * 1024];
        while (true)
        {
            var length = 0;
            ValueWebSocketReceiveResult part;
            do
            {
                part = await watcher.ReceiveAsync(buffer.AsMemory(length), deadline.Token);
                length += part.Count;
            } while (!part.EndOfMessage);
            var packet = Encoding.UTF8.GetString(buffer, 0, length);
            if (packet.StartsWith("42[\"connexions\",", StringComparison.Ordinal) && JsonElement.Parse(packet[2..])[1].GetArrayLength() == count) return;
        }
    }

    static async Task<ClientWebSocket> ConnectAsync(Shop shop, string auth)
    {
        var socket = new ClientWebSocket();
        await socket.ConnectAsync(new UriBuilder(shop.Http.BaseAddress!) { Scheme = "ws", Path = "/socket.io/", Query = "EIO=4&transport=websocket" }.Uri, Ct);
        var buffer = new byte[8192];
        await socket.ReceiveAsync(buffer, Ct);
        Assert.Equal((byte)'0', buffer[0]);
        await socket.SendAsync(Encoding.UTF8.GetBytes($"40{auth}"), WebSocketMessageType.Text, endOfMessage: true, Ct);
        await socket.ReceiveAsync(buffer, Ct);
        Assert.Equal("40{", Encoding.UTF8.GetString(buffer, 0, 3));
        return socket;
    }
}
